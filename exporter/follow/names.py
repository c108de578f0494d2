"""Which files in a log's folder are rotated files of it, by their names, and in what order they were rotated away.

Known are the names that logrotate, newsyslog and savelog make of server.log: server.log.1, server.log-20261123,
server.log.2026-11-23T10, server.log-1795600000, server.log.old, and with logrotate's `extension` server.1.log and
server-20261123.log. A number that is neither behind a dot nor a date is part of another log's name: server-443.log.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

_PACKED: Final = (".gz", ".xz", ".bz2", ".zst")
_MARK: Final = re.compile(
    r"[.](?P<number>[0-9]{1,5})"
    r"|[._-](?P<date>(?:19|20)[0-9]{2}[._-]?(?:0[1-9]|1[0-2])[._-]?(?:0[1-9]|[12][0-9]|3[01])[0-9T_.:-]*Z?)"
    r"|[._-](?P<seconds>[0-9]{10})"
    r"|[._-](?P<old>old)"
)


class RotatedName(NamedTuple):
    """What a rotated file's name tells."""

    scheme: str  # names of one scheme can be compared
    order: tuple[int, ...]  # the greater, the later it was rotated away
    packed: bool  # there is a compressed file of the same name as well: this one is probably an unpacked old one


def rotated_names(log: str, names: Collection[str]) -> dict[str, RotatedName]:
    """Return those of the names in a log's folder that are rotated files of the log."""
    present = set(names)
    stem, dot, extension = log.rpartition(".")
    forms = [(log, ""), *([(stem, dot + extension)] if stem else [])]
    # The numbers of rotated files begin with 0 or 1: without those, openvpn.2.log is another server's log.
    numbered = any(f"{stem}.{n}.{extension}{suffix}" in present for n in (0, 1) for suffix in ("", *_PACKED))
    found: dict[str, RotatedName] = {}
    for name in present - {log}:
        for before, after in forms:
            mark = _mark(name, before, after)
            if mark and (not after or numbered or mark.lastgroup != "number"):
                packed = any(name + suffix in present for suffix in _PACKED)
                found[name] = RotatedName(f"{mark.lastgroup}{after}", _order(mark), packed)
                break
    return found


def _mark(name: str, before: str, after: str) -> re.Match[str] | None:
    """Return what is between the two parts of the log's name."""
    end = len(name) - len(after)
    if end <= len(before) or not (name.startswith(before) and name.endswith(after)):
        return None
    return _MARK.fullmatch(name, len(before), end)


def _order(mark: re.Match[str]) -> tuple[int, ...]:
    if number := mark["number"]:
        return (-int(number),)
    # Of a date, pairs of digits: 20261123 and 2026-11-23 are the same, however they are separated.
    return tuple(int(pair) for pair in re.findall("[0-9]{1,2}", mark["date"] or mark["seconds"] or ""))
