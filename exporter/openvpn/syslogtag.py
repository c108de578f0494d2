"""The lines of one server in a log that several share: those with its syslog tag."""

from exporter.openvpn.logline import split, times_repeated


class TagFilter:
    """Selects the lines whose carrier names a program by `tag`, without the process id: ovpn-server, openvpn(udp)."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._bytes = tag.encode()
        self._is_selected = False  # the last line

    def select(self, batch: bytes) -> bytes:
        """Return the selected lines of whole lines, each with its newline."""
        return b"".join(line + b"\n" for line in batch.split(b"\n")[:-1] if self._selects(line))

    def _selects(self, line: bytes) -> bool:
        if b"last message repeated " not in line or not times_repeated(line.decode(errors="replace")):
            self._is_selected = self._bytes in line and split(line.decode(errors="replace")).tag == self._tag
        return self._is_selected  # "last message repeated" has no tag: it belongs to the line before
