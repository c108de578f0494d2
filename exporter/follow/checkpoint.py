"""How far a file has been read, and how its bytes are cut into lines. Pure: no files here."""

import re
from typing import Any, Final, NamedTuple

from exporter.follow.base import BATCH

_NO_FILE: Final = (0, 0)
_TIME: Final = re.compile(rb"[0-9]{2}:[0-9]{2}:[0-9]{2}|[0-9]{10}")
WINDOW: Final = 1024  # bytes that a checkpoint remembers of the head, and of what is right before the offset


class Checkpoint(NamedTuple):
    """Up to where a file has been read."""

    identity: tuple[int, int]  # device, inode
    offset: int  # bytes
    head: bytes  # the first bytes of the file, of those that were read
    window: bytes  # the last bytes that were read
    mtime: int  # nanoseconds, when last read; files older than this were rotated away earlier and need not be searched
    cut: bool  # the offset is inside a line that is too long; the rest of it is skipped

    @classmethod
    def of_missing(cls, moment: int) -> "Checkpoint":
        """Return the checkpoint of a log that did not exist at a moment (nanoseconds): that of no file."""
        return cls(_NO_FILE, 0, b"", b"", moment, cut=False)

    def is_stamped(self) -> bool:
        """Return whether the first line has a time stamp, so that no other file begins with the same text."""
        return _TIME.search(self.head.partition(b"\n")[0]) is not None

    def holds_nothing(self) -> bool:
        """Return whether nothing was read, or nothing but a hole."""
        return not self.window.strip(b"\0")

    def is_of_missing(self) -> bool:
        """Return whether it is of a log that did not exist."""
        return self.identity == _NO_FILE

    def to_json(self) -> list[Any]:
        """Return it as a JSON value."""
        head, window = (part.decode("latin-1") for part in (self.head, self.window))
        return [*self.identity, self.offset, head, window, self.mtime, self.cut]

    @classmethod
    def from_json(cls, value: Any) -> "Checkpoint":
        """Return the checkpoint of a JSON value. Raise ValueError, TypeError or AttributeError if it is none."""
        device, inode, offset, head, window, mtime, cut = value
        checkpoint = cls((device, inode), offset, head.encode("latin-1"), window.encode("latin-1"), mtime, cut)
        if not len(checkpoint.head) == len(checkpoint.window) == min(checkpoint.offset, WINDOW):
            raise ValueError("the offset does not fit what is remembered of the file")
        return checkpoint


def cut_batch(fresh: bytes, *, cut: bool) -> tuple[bytes, int, bool]:
    """Return the complete lines of fresh bytes, how many bytes are done with, and whether those end inside a cut line.

    Of a line longer than BATCH, the first BATCH bytes are handed over and the rest is skipped (`cut`). NULs at the
    beginning are skipped: a writer that does not append leaves them, as a hole, if its log is truncated.
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
