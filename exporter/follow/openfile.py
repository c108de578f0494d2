"""One open log file, read line by line from a checkpoint.

A file is recognized by its content, not only by its inode: a checkpoint remembers the first bytes of the file and those
right before the offset. So a file that was truncated and has grown again is noticed, however fast it grew, and so is
an inode that now belongs to another file.
"""

import errno
import os
import stat
from pathlib import Path

from exporter.follow.base import BATCH
from exporter.follow.checkpoint import WINDOW, Checkpoint, cut_batch


class ReplacedError(Exception):
    """The file no longer contains what was read from it: it was truncated or rewritten."""


class OpenFile:
    """A file that is read line by line from an offset. Every method raises OSError if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a FIFO must not block
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        self.identity = (status.st_dev, status.st_ino)
        self.mtime_at_open = status.st_mtime_ns  # when it was last opened by a name
        self._eof_state: tuple[int, int] | None = None  # size and mtime when everything up to the end had been read
        self._checkpoint = Checkpoint(self.identity, 0, b"", b"", self.mtime_at_open, cut=False)

    @property
    def checkpoint(self) -> Checkpoint:
        """Return up to where the file has been read."""
        return self._checkpoint

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def deleted(self) -> bool:
        """Return whether no name leads to it any more."""
        return os.fstat(self._fd).st_nlink == 0

    def mtime(self) -> int:
        """Return when it was last written to, in nanoseconds."""
        return os.fstat(self._fd).st_mtime_ns

    def rewind(self) -> None:
        """Start again at the beginning.

        The checkpoint gets the mtime from when the file was last opened by name: it may have been copied and truncated
        since, and that copy, not seen yet, is older than the file is now.
        """
        self._eof_state = None
        self._checkpoint = Checkpoint(self.identity, 0, b"", b"", self.mtime_at_open, cut=False)

    def to_end(self) -> None:
        """Skip what is there, except for an incomplete last line."""
        offset = os.fstat(self._fd).st_size
        while offset > 0:
            start = max(0, offset - BATCH)
            found = self.part(start, offset - start).rfind(b"\n")
            if found >= 0:
                self._skip_to(start + found + 1)
                return
            offset = start
        self._skip_to(0)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Continue from a checkpoint if the file contains what was read up to there; return whether it does."""
        if checkpoint.offset == 0 and checkpoint.identity != self.identity:
            return False  # no content has been recorded, so only the inode identifies the file
        if not self.matches(checkpoint):
            return False
        self._eof_state = None
        self._checkpoint = checkpoint._replace(identity=self.identity)
        return True

    def part(self, start: int, size: int) -> bytes:
        """Return up to `size` bytes from `start`."""
        return os.pread(self._fd, size, start)

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Return whether it contains what was read up to a checkpoint, of this file or of another."""
        window = self.part(checkpoint.offset - len(checkpoint.window), len(checkpoint.window))
        return window == checkpoint.window and self._starts_with(checkpoint.head)

    def same_content_as(self, other: "OpenFile", start: int) -> bool:
        """Return whether it equals another file from `start` up to where that was read, and in the head."""
        size = other.checkpoint.offset - start
        return self._starts_with(other.checkpoint.head) and self.part(start, size) == other.part(start, size)

    def assume_modified_since(self, moment: int) -> None:
        """Let the checkpoint's mtime be no later than `moment` (nanoseconds)."""
        self._checkpoint = self._checkpoint._replace(mtime=min(self._checkpoint.mtime, moment))

    def resume_in_truncated_copy(self, checkpoint: Checkpoint) -> bool:
        """Skip the whole file if it is a copy from before the last of what was read was written; return whether."""
        size = os.fstat(self._fd).st_size
        if not 0 < size < checkpoint.offset or not self._starts_with(checkpoint.head[:size]):
            return False
        self._skip_to(size)
        return True

    def read(self) -> bytes:
        """Return complete lines not read before, at most a batch; empty if there are none yet. Raises ReplacedError."""
        while True:
            status = os.fstat(self._fd)
            if self._eof_state == (status.st_size, status.st_mtime_ns):
                return b""
            window = self._checkpoint.window
            # One read for the old and the new bytes, so that the new ones certainly follow those read before.
            data = os.pread(self._fd, len(window) + BATCH, self._checkpoint.offset - len(window))
            if not data.startswith(window):
                raise ReplacedError
            if len(data) < len(window) + BATCH:
                self._eof_state = (status.st_size, status.st_mtime_ns)
            before, fresh = self._checkpoint, data[len(window) :]
            batch, passed, cut = cut_batch(fresh, cut=before.cut)
            self._checkpoint = before._replace(
                offset=before.offset + passed,
                head=before.head + fresh[: min(passed, WINDOW - len(before.head))],
                window=data[max(0, len(window) + passed - WINDOW) : len(window) + passed],
                mtime=status.st_mtime_ns,
                cut=cut,
            )
            if batch or not passed:
                return batch

    def _starts_with(self, head: bytes) -> bool:
        return self.part(0, len(head)) == head

    def _skip_to(self, offset: int) -> None:
        start = max(0, offset - WINDOW)
        window, head = self.part(start, offset - start), self.part(0, min(offset, WINDOW))
        self._eof_state = None
        self._checkpoint = Checkpoint(self.identity, offset, head, window, self.mtime_at_open, cut=False)
