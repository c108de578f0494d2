"""One open log file, and the mark up to which it has been read.

A file is known again by what it holds, not only by its inode: a mark remembers the first bytes of the file and those
right before the offset. So a file that was truncated and has grown again is noticed, however fast it grew, and so is
an inode that was given to another file.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.follow.base import BATCH

_WINDOW: Final = 1024  # bytes of the head, and of what stands right before the offset


class Mark(NamedTuple):
    """Up to where a file has been read."""

    identity: tuple[int, int]  # device, inode
    offset: int  # bytes
    head: bytes  # the first bytes of the file, of those that were read
    window: bytes  # the last bytes that were read
    changed: int  # the file's mtime when it was last looked at, nanoseconds: what is older was not rotated away since
    cut: bool  # the offset is inside a line that is too long, of which the rest is passed over

    def to_json(self) -> list[Any]:
        """As a JSON value."""
        head, window = (part.decode("latin-1") for part in (self.head, self.window))
        return [*self.identity, self.offset, head, window, self.changed, self.cut]

    @classmethod
    def from_json(cls, value: Any) -> "Mark":
        """The inverse. Raises ValueError, TypeError or AttributeError where it is not one."""
        device, inode, offset, head, window, changed, cut = value
        mark = cls((device, inode), offset, head.encode("latin-1"), window.encode("latin-1"), changed, cut)
        if not len(mark.head) == len(mark.window) == min(mark.offset, _WINDOW):
            raise ValueError("the offset does not fit what is remembered of the file")
        return mark


class ReplacedError(Exception):
    """The file no longer holds what was read from it: it was truncated, or written anew."""


class OpenFile:
    """A file that is read line by line from an offset. Raises OSError where it cannot be opened or read."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us up
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self.identity = (status.st_dev, status.st_ino)
        self.met = status.st_mtime_ns  # its mtime when a name last led to it; set anew when a name does so again
        self._seen: tuple[int, int] | None = None  # size and mtime, when everything up to the end had been read
        self._mark = Mark(self.identity, 0, b"", b"", self.met, cut=False)

    @property
    def mark(self) -> Mark:
        """Up to where it has been read."""
        return self._mark

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def deleted(self) -> bool:
        """Whether no name leads to it any more."""
        return os.fstat(self._fd).st_nlink == 0

    def changed(self) -> int:
        """When it was last written to, nanoseconds."""
        return os.fstat(self._fd).st_mtime_ns

    def rewind(self) -> None:
        """Forget what was read.

        Its mark tells the mtime of when a name led to it, not of now: in between it may have been copied and truncated,
        and the copy, which nobody has met yet, is older than now.
        """
        self._seen = None
        self._mark = Mark(self.identity, 0, b"", b"", self.met, cut=False)

    def to_end(self) -> None:
        """Pass over what is there, except for a last line that is not whole yet."""
        offset = os.fstat(self._fd).st_size
        while offset > 0:
            start = max(0, offset - BATCH)
            found = self.part(start, offset - start).rfind(b"\n")
            if found >= 0:
                self._pass_to(start + found + 1)
                return
            offset = start
        self._pass_to(0)

    def resume(self, mark: Mark) -> bool:
        """Go on from a mark, if the file holds what was read up to there."""
        if mark.offset == 0 and mark.identity != self.identity:
            return False  # nothing is known of what it holds, so nothing else tells it from any other
        if not self.holds(mark):
            return False
        self._seen = None
        self._mark = mark._replace(identity=self.identity)
        return True

    def part(self, start: int, size: int) -> bytes:
        """What stands there, as far as there is something."""
        return os.pread(self._fd, size, start)

    def holds(self, mark: Mark) -> bool:
        """Whether it has what was read up to a mark, of this file or of another."""
        window = self.part(mark.offset - len(mark.window), len(mark.window))
        return window == mark.window and self._starts_with(mark.head)

    def agrees(self, other: "OpenFile", start: int) -> bool:
        """Whether it has what another file has from `start` up to where that was read, and begins as that does."""
        size = other.mark.offset - start
        return self._starts_with(other.mark.head) and self.part(start, size) == other.part(start, size)

    def backdate(self, moment: int) -> None:
        """Take it that the file may have changed since `moment` (nanoseconds)."""
        self._mark = self._mark._replace(changed=min(self._mark.changed, moment))

    def resume_shorter(self, mark: Mark) -> bool:
        """Whether it is a copy made before all that was read had been written; then it has nothing new."""
        size = os.fstat(self._fd).st_size
        if not 0 < size < mark.offset or not self._starts_with(mark.head[:size]):
            return False
        self._pass_to(size)
        return True

    def read(self) -> bytes:
        """Whole lines not read before, at most a batch; empty where there are none yet. Raises ReplacedError."""
        while True:
            status = os.fstat(self._fd)
            if self._seen == (status.st_size, status.st_mtime_ns):
                return b""
            window = self._mark.window
            # One read for the old and the new bytes: what is new certainly follows on what was read before.
            data = os.pread(self._fd, len(window) + BATCH, self._mark.offset - len(window))
            if not data.startswith(window):
                raise ReplacedError
            if len(data) < len(window) + BATCH:
                self._seen = (status.st_size, status.st_mtime_ns)
            before, fresh = self._mark, data[len(window) :]
            batch, passed, cut = cut_batch(fresh, cut=before.cut)
            self._mark = before._replace(
                offset=before.offset + passed,
                head=before.head + fresh[: min(passed, _WINDOW - len(before.head))],
                window=data[max(0, len(window) + passed - _WINDOW) : len(window) + passed],
                changed=status.st_mtime_ns,
                cut=cut,
            )
            if batch or not passed:
                return batch

    def _starts_with(self, head: bytes) -> bool:
        return self.part(0, len(head)) == head

    def _pass_to(self, offset: int) -> None:
        start = max(0, offset - _WINDOW)
        window, head = self.part(start, offset - start), self.part(0, min(offset, _WINDOW))
        self._seen = None
        self._mark = Mark(self.identity, offset, head, window, self.met, cut=False)


def cut_batch(fresh: bytes, *, cut: bool) -> tuple[bytes, int, bool]:
    """The whole lines of fresh bytes, how many bytes are done with, and whether that ends inside a line that is cut.

    Of a line longer than BATCH the first BATCH bytes are handed over, and the rest is passed over (`cut`). NULs at
    the beginning are passed over: a writer that does not append leaves them, as a hole, where a log is truncated
    under it.
    """
    start = 0
    if cut:
        start = fresh.find(b"\n") + 1
        if not start:
            return b"", len(fresh), True
    elif fresh.startswith(b"\0"):
        start = len(fresh) - len(fresh.lstrip(b"\0"))
    end = fresh.rfind(b"\n", start) + 1
    if end:
        return fresh[start:end], end, False
    if len(fresh) - start >= BATCH:
        return fresh[start:] + b"\n", len(fresh), True
    return b"", start, False
