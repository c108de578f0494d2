"""The record: JSON lines appended to a file that many hooks share, each in a single write."""

import errno
import os

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def tell(message: str) -> None:
    """Write a line to standard error, which OpenVPN puts into its log."""
    try:
        os.write(2, f"openvpn-mq-hook: {message}\n".encode(errors="replace"))
    except OSError:
        pass  # standard error is closed


class Record:
    """Appends lines; a line that cannot be written is reported once, and written together with the next one."""

    def __init__(self, path: str, mode: int) -> None:
        """`mode`: permission bits of a file that is made anew."""
        self._path = path
        self._mode = mode
        self._unwritten = b""
        self._told = False

    def write(self, line: bytes) -> None:
        """Append the line by one system call with O_APPEND, which no other hook's write can tear. Never raises."""
        text = self._unwritten + line + b"\n"
        written, number = 0, errno.ENOSPC
        try:
            written = _append(self._path, self._mode, text)
        except OSError as error:
            number = error.errno or errno.EIO
        if written == len(text):
            self._unwritten = b""
            return
        self._unwritten = _rest(text, written)
        if not self._told:
            self._told = True
            tell(f"cannot record in {self._path}: {os.strerror(number)}; {_hint(self._path, self._mode, number)}")


def _rest(text: bytes, written: int) -> bytes:
    """Return the lines that are not there to their last character, behind a newline that ends what a full disk took."""
    if text[written : written + 1] != b"\n":
        written = text.rfind(b"\n", 0, written) + 1
    return b"\n" + text[written:].lstrip(b"\n")


def _hint(path: str, mode: int, number: int) -> str:
    try:
        from exporter.hook.advice import hint  # costs time, and is rarely needed

        return hint(path, mode, number)
    except Exception as error:  # noqa: BLE001  # a hint must never refuse a client
        return f"no hint: {error}"


def _append(path: str, mode: int, text: bytes) -> int:
    """Open the file and append, so that a rotated or removed file is created again; return how many bytes fitted.

    Root writes as the folder's owner: so a file created by OpenVPN's first hooks, before it drops its privileges, can
    be written by later ones, and a link in a folder of another user cannot make root write elsewhere.
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
        return os.write(file, text)
    finally:
        os.close(file)
