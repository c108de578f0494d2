"""A log file that grows, followed over rotations of either kind and over restarts."""

import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from exporter.follow import rotation
from exporter.follow.base import OnLines, Source
from exporter.follow.checkpoint import Checkpoint
from exporter.follow.openfile import OpenFile, ReplacedError
from exporter.follow.positions import Positions

_log = logging.getLogger(__name__)

_ROTATION_TIME: Final = 5.0  # seconds for which a log may be missing in the course of a rotation
_SETTLED: Final = 1.0  # seconds after which a new mtime without new content is no write that is under way
_SAVE_INTERVAL: Final = 0.1  # seconds; a save takes as long as reading two thousand lines
_CLOCK_TICK: Final = 1_000_000_000  # nanoseconds by which an mtime may be behind the clock


class FollowedFile(Source):
    """Hands over each line that is written to a log from the first poll on, or since the remembered position.

    A line is handed over when its newline is there. The position is saved then, or ten times per second while there is
    more to read: if the process is killed in between, some lines are read again after the restart, when the counters
    are at zero again too.
    """

    def __init__(
        self,
        path: Path,
        on_lines: OnLines,
        positions: Positions,
        others: Callable[[], Collection[Path]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is opened before the first poll. `positions` knows the log by its path.

        `others` returns the files that are never taken for rotated files of this log: those of the other servers.
        """
        super().__init__()
        self._path = path
        self._on_lines = on_lines
        self._positions = positions
        self._others = others
        self._clock = clock
        self._files: list[OpenFile] = []  # oldest first
        self._awaited: list[Checkpoint] = []  # of files of which none has been found yet
        self._current: OpenFile | None = None  # the one that the path led to when last checked
        self._started = False
        self._missing_since: float | None = None
        self._touched: tuple[int, float] | None = None  # the log's mtime, and when it was first seen with it
        self._is_saved = True
        self._saved_at = clock()

    def poll(self) -> bool:
        """Hand over at most one batch. Raises FileNotFoundError if the log is missing longer than a rotation takes."""
        if not self._started:
            self._start()
        identity = self._identify()
        if identity and (self._current is None or self._current.identity != identity):
            self._reconcile()
        for file in list(self._files):
            before = file.checkpoint
            is_unread = file is self._current and before.offset == 0
            if is_unread and identity is None and not self._is_missing_long():
                continue  # what was rotated away while it was empty is found by the folder, which may be missing too
            try:
                batch = file.read()
            except ReplacedError:
                if identity is None:
                    continue  # as long as the log is missing, so may be its folder, with the copy that has the rest
                self._reconcile()
                return True
            if batch and self._is_copy(file, before):
                self._skip_copy(file)
                return True
            missed = is_unread and file.checkpoint != before and self._add_missed(file, before)
            if batch:
                self._on_lines(batch)
                self._is_saved = False
            if not self._is_saved and (file.at_end or self._clock() - self._saved_at >= _SAVE_INTERVAL):
                self._save()
            if batch or missed or not file.at_end:
                return True
        if self._current and self._current.touched and self._is_rewritten(self._current.touched):
            self._current.read_again()
            return True
        self._close_old()
        if self._is_missing_long():
            raise FileNotFoundError(2, os.strerror(2), str(self._path))
        return False

    def close(self) -> None:
        """Save the position, and close the files."""
        if not self._is_saved:
            self._save()
        while self._files:
            self._files.pop().close()

    def _start(self) -> None:
        saved = _checkpoints(self._positions.load(str(self._path)))
        if saved is None:
            self._awaited = [Checkpoint.of_missing(time.time_ns() - _CLOCK_TICK)]
            self._adopt(rotation.at_end(self._path, self._others()))
        else:
            self._awaited = saved
            self._reconcile()
        self._started = True
        if not self._current:
            self._missing_since = self._clock() - _ROTATION_TIME  # not in the course of a rotation: report it at once

    def _is_missing_long(self) -> bool:
        return self._missing_since is not None and self._clock() - self._missing_since >= _ROTATION_TIME

    def _identify(self) -> tuple[int, int] | None:
        """Return device and inode of the file that the path leads to; None if there is none."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            if self._missing_since is None:
                self._missing_since = self._clock()
            return None
        self._missing_since = None
        return status.st_dev, status.st_ino

    def _reconcile(self) -> None:
        self._adopt(rotation.reconcile(self._path, self._checkpoints(), self._files, self._others()))

    def _adopt(self, found: rotation.Found) -> None:
        self._files, self._current = found.files, found.current
        if found.lost and self._files:
            _log.warning(
                f"{self._path} was rotated, and the old file was not found next to it (expected for example "
                f"{self._path.name}.1, uncompressed); lines may be missing"
            )
        self._save()
        if self._files:
            self._awaited = []

    def _checkpoints(self) -> list[Checkpoint]:
        """Return those of the open files, or those remembered as long as no file has been found."""
        return [file.checkpoint for file in self._files] or self._awaited

    def _add_missed(self, log: OpenFile, before: Checkpoint) -> bool:
        """Find what an empty log leaves no trace of: it may have been filled, copied and truncated meanwhile.

        Return whether something was found.
        """
        try:
            missed = rotation.missed(self._path, before.mtime, self._files, self._others())
        except OSError:
            log.resume(before)  # otherwise what was just read would be lost
            raise
        index = self._files.index(log)
        self._files[index:index] = missed
        return bool(missed)

    def _is_copy(self, file: OpenFile, before: Checkpoint) -> bool:
        """Return whether what was just read is in the log as well, or has been read there.

        A log that is being copied, to be truncated next, has its lines in two files for a while.
        """
        log = self._current
        if log is None or file is log:
            return False
        if log.same_content_as(file, before.offset):
            return True
        return before.holds_nothing() and before.offset < log.checkpoint.offset and file.matches(log.checkpoint)

    def _skip_copy(self, copy: OpenFile) -> None:
        """Close a copy of the log. If the log is truncated before it was read on, the copy will be searched for."""
        self._files.remove(copy)
        if self._current and self._current.checkpoint.offset == 0:  # only its mtime leads to the copy
            self._current.assume_modified_since(copy.mtime())
        copy.close()

    def _is_rewritten(self, mtime: int) -> bool:
        """Return whether the log has had an mtime for a while that no new content explains.

        A writer that truncates its log and writes the same text again does that, as a server that fails to start in
        the same way twice. A write under way may set the mtime some moments before there is new content.
        """
        if self._touched is None or self._touched[0] != mtime:
            self._touched = mtime, self._clock()
        return self._clock() - self._touched[1] >= _SETTLED

    def _close_old(self) -> None:
        """Close the rotated files to which a writer hardly appends any more; all have been read to their ends.

        The newest of which anything was read is kept: from its name it is known which files are older.
        """
        rotated = [file for file in self._files if file is not self._current]
        newest = next((file for file in reversed(rotated) if file.checkpoint.offset), None)
        for file in rotated:
            if file.deleted() or (file is not newest and file not in rotated[-rotation.MAX_ROTATED :]):
                self._files.remove(file)
                file.close()

    def _save(self) -> None:
        self._is_saved, self._saved_at = True, self._clock()
        self._positions.save(str(self._path), [checkpoint.to_json() for checkpoint in self._checkpoints()])


def _checkpoints(saved: object) -> list[Checkpoint] | None:
    """Return what was saved; None if there was nothing, or nothing that makes sense."""
    try:
        return [Checkpoint.from_json(value) for value in saved] if isinstance(saved, list) else None
    except (ValueError, TypeError, AttributeError):
        return None
