"""The record: JSON lines appended to a file that many hooks share, each in a single write."""

import errno
import os

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def tell(message: str) -> None:
    """Say it on standard error, which OpenVPN puts into its log."""
    try:
        os.write(2, f"openvpn-mq-hook: {message}\n".encode(errors="replace"))
    except OSError:
        pass  # there is nobody left to tell


class Record:
    """Writes lines; what cannot be written is told once, and tried again with the next line."""

    def __init__(self, path: str, mode: int) -> None:
        """`mode`: permission bits of a file that is made anew."""
        self._path = path
        self._mode = mode
        self._unwritten = b""
        self._told = False

    def write(self, line: bytes) -> None:
        """Append the line by one system call with O_APPEND, which no other hook's write can tear. Never raises."""
        text = self._unwritten + line + b"\n"
        try:
            _append(self._path, self._mode, text)
        except OSError as error:
            # A full disk may have taken the beginning: the newline ends what it took.
            self._unwritten = b"\n" + text.lstrip(b"\n")
            if not self._told:
                self._told = True
                tell(f"cannot record in {self._path}: {error.strerror}; {_remedy(self._path, self._mode, error.errno)}")
        else:
            self._unwritten = b""


def _remedy(path: str, mode: int, number: int | None) -> str:
    try:
        from exporter.hook.advice import remedy  # costs time, and is rarely needed

        return remedy(path, mode, number)
    except Exception as error:  # noqa: BLE001  # good advice is no reason to refuse a client
        return f"no advice: {error}"


def _append(path: str, mode: int, text: bytes) -> None:
    """Opened anew for each line, so that a rotated or removed file is made anew.

    As root, with the rights of the folder's owner: so a file made by OpenVPN's first hooks, before it drops its
    rights, is writable for the later ones, and nobody can lead root elsewhere by a link in a folder of his own.
    """
    user, group = os.geteuid(), os.getegid()
    folder = os.stat(os.path.dirname(path)) if user == 0 else None
    other = folder is not None and folder.st_uid != 0
    try:
        if folder is not None and other:
            os.setegid(folder.st_gid)
            os.seteuid(folder.st_uid)
        file = os.open(path, _FLAGS, mode)
    finally:
        if other:
            os.seteuid(user)
            os.setegid(group)
    try:
        if os.write(file, text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)
