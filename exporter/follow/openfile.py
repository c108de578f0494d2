"""One open log file, read line by line from a checkpoint.

A file is recognized by its content, not only by its inode: a checkpoint remembers the first bytes of the file and those
right before the offset. So a file that was truncated and has grown again is noticed, however fast it grew, and so is
an inode that now belongs to another file.
"""

import errno
import os
from pathlib import Path

from exporter.files import open_regular
from exporter.follow.base import BATCH
from exporter.follow.checkpoint import WINDOW, Checkpoint, cut_batch
from exporter.follow.names import RotatedName


class ReplacedError(Exception):
    """The file no longer contains what was read from it: it was truncated or rewritten."""


class OpenFile:
    """A file that is read line by line from an offset. Every method raises OSError if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._fd = open_regular(path)
        status = os.fstat(self._fd)
        self.identity = (status.st_dev, status.st_ino)
        self.mtime_at_open = status.st_mtime_ns  # when it was last opened by a name
        self.rotated: RotatedName | None = None  # what it was called then, if it is a rotated file
        self.at_end = False  # whether the last read reached the end
        self.touched: int | None = None  # the mtime since which it may have been rewritten with the same text
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
        self._set(Checkpoint(self.identity, 0, b"", b"", self.mtime_at_open, cut=False))

    def read_again(self) -> None:
        """Start again at the beginning of a file that was rewritten; no copy of it was made meanwhile."""
        self._set(Checkpoint(self.identity, 0, b"", b"", self.mtime(), cut=False))

    def to_end(self) -> None:
        """Skip what is there, except for an incomplete last line."""
        size = os.fstat(self._fd).st_size
        start = max(0, size - BATCH)
        tail = self.part(start, BATCH)
        newline = tail.rfind(b"\n") + 1
        # Without a newline, a hole may precede the last line, or else that one is too long.
        self._skip_to(start + newline, cut=start > 0 and not newline and not tail.startswith(b"\0"))

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Continue from a checkpoint if the file contains what was read up to there; return whether it does."""
        if checkpoint.offset == 0 and checkpoint.identity != self.identity:
            return False  # no content has been recorded, so only the inode identifies the file
        if not self.matches(checkpoint):
            return False
        self._set(checkpoint._replace(identity=self.identity))
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
        """Return complete lines not read before, at most a batch. Raises ReplacedError.

        Empty if there are none yet (`at_end`), or if what was read is skipped.
        """
        status = os.fstat(self._fd)
        state = status.st_size, status.st_mtime_ns
        if self._eof_state == state:
            return b""
        before = self._checkpoint
        # One read for the old and the new bytes, so that the new ones certainly follow those read before.
        data = os.pread(self._fd, len(before.window) + BATCH, before.offset - len(before.window))
        if not data.startswith(before.window):
            raise ReplacedError
        fresh = data[len(before.window) :]
        self.at_end = len(fresh) < BATCH
        self.touched = status.st_mtime_ns if not fresh and self._may_be_rewritten(status) else None
        self._eof_state = state if self.at_end else None
        if len(fresh) == BATCH and not before.cut and not fresh.strip(b"\0"):
            self._skip_hole(status)
            return b""
        batch, passed, cut = cut_batch(fresh, cut=before.cut)
        self._checkpoint = before._replace(
            offset=before.offset + passed,
            head=before.head + fresh[: min(passed, WINDOW - len(before.head))],
            window=data[max(0, len(before.window) + passed - WINDOW) : len(before.window) + passed],
            mtime=status.st_mtime_ns,
            cut=cut,
        )
        return batch

    def _may_be_rewritten(self, status: os.stat_result) -> bool:
        """Return whether a new mtime without new content may mean that the file was rewritten with the same text.

        Only short files without time stamps are. Setting the mtime to anything but the present is not writing.
        """
        size = self._checkpoint.offset
        unchanged = self._eof_state is not None and self._eof_state[0] == status.st_size == size
        rewritable = 0 < size <= BATCH and not self._checkpoint.is_stamped()
        return unchanged and rewritable and status.st_ctime_ns == status.st_mtime_ns

    def _skip_hole(self, status: os.stat_result) -> None:
        """Continue where the file has data again: a batch of NULs is a hole, or the beginning of one."""
        before = self._checkpoint
        try:
            data = os.lseek(self._fd, before.offset + BATCH, os.SEEK_DATA)
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.EINVAL):
                raise
            # It is a hole up to the end, or the file system cannot tell.
            data = before.offset + BATCH if error.errno == errno.EINVAL else max(status.st_size, before.offset + BATCH)
        head = (before.head + bytes(WINDOW))[:WINDOW]
        self._checkpoint = before._replace(offset=data, head=head, window=bytes(WINDOW), mtime=status.st_mtime_ns)

    def _starts_with(self, head: bytes) -> bool:
        return self.part(0, len(head)) == head

    def _skip_to(self, offset: int, *, cut: bool = False) -> None:
        start = max(0, offset - WINDOW)
        window, head = self.part(start, offset - start), self.part(0, min(offset, WINDOW))
        self._set(Checkpoint(self.identity, offset, head, window, self.mtime_at_open, cut))

    def _set(self, checkpoint: Checkpoint) -> None:
        self._eof_state = self.touched = None
        self.at_end = False
        self._checkpoint = checkpoint
