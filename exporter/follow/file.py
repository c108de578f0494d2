"""A log file that grows, followed over rotations of either kind and over restarts."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter.follow import rotation
from exporter.follow.base import Source, Take
from exporter.follow.openfile import Mark, OpenFile, ReplacedError
from exporter.follow.positions import Positions

_log = logging.getLogger(__name__)

_KEPT: Final = 2  # files that were rotated away, to which somebody may still write
_ABSENCE: Final = 5.0  # seconds for which a log may be missing in the course of a rotation


class FollowedFile(Source):
    """Hands over each line that is written to the log from the first poll on, or since the remembered position.

    A line counts when its newline is there. After each batch the position is saved: a process that is killed between
    the two will be handed the same batch again in its next life, which has no memory of the first time either.
    """

    def __init__(
        self, path: Path, take: Take, positions: Positions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is opened before the first poll. `positions` knows it by its path."""
        super().__init__()
        self._path = path
        self._take = take
        self._positions = positions
        self._clock = clock
        self._files: list[OpenFile] = []  # oldest first
        self._current: OpenFile | None = None  # the one that the path led to, when last looked
        self._begun = False
        self._missing_since: float | None = None

    def poll(self) -> bool:
        """As Source has it. Raises FileNotFoundError where the log is missing for longer than a rotation takes."""
        if not self._begun:
            self._begin()
        identity = self._look()
        if identity and (self._current is None or self._current.identity != identity):
            self._reconcile()
        for file in list(self._files):
            before = file.mark
            try:
                batch = file.read()
            except ReplacedError:
                self._reconcile()
                return True
            if batch and self._is_copy(file, before):
                self._pass_over(file)
                return True
            if before.offset == 0 and file is self._current and (batch or file.mark.changed != before.changed):
                self._add_missed(file, before)
            if batch:
                self._take(batch)
                self._save()
                return True
        self._drop()
        if self._missing_since is not None and self._clock() - self._missing_since >= _ABSENCE:
            raise FileNotFoundError(2, os.strerror(2), str(self._path))
        return False

    def close(self) -> None:
        """Let go of the files."""
        while self._files:
            self._files.pop().close()

    def _begin(self) -> None:
        marks = _marks(self._positions.load(str(self._path)))
        if marks is None:
            self._adopt(rotation.at_end(self._path))
            self._drop()
        else:
            self._adopt(rotation.reconcile(self._path, marks, ()))
        self._begun = True
        if not self._current:
            self._missing_since = self._clock() - _ABSENCE  # not in the course of a rotation: say so at once

    def _look(self) -> tuple[int, int] | None:
        """Which file the path leads to; None where to none."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            if self._missing_since is None:
                self._missing_since = self._clock()
            return None
        self._missing_since = None
        return status.st_dev, status.st_ino

    def _reconcile(self) -> None:
        self._adopt(rotation.reconcile(self._path, [file.mark for file in self._files], self._files))

    def _adopt(self, found: rotation.Found) -> None:
        self._files, self._current = found.files, found.current
        if found.lost:
            _log.warning(
                "%s",
                f"{self._path} was rotated, and what was being read is not beside it under a rotated name (such as "
                f"{self._path.name}.1), uncompressed: lines may have been missed",
            )
        self._save()

    def _add_missed(self, log: OpenFile, before: Mark) -> None:
        """It was empty, and so can have been filled, copied and truncated since, without leaving a trace in it."""
        try:
            self._files[:0] = rotation.missed(self._path, before.changed, self._files)
        except OSError:
            log.resume(before)  # or what was just read would not come again
            raise

    def _is_copy(self, file: OpenFile, before: Mark) -> bool:
        """Whether what was just read stands in the log as well, or has been read there.

        A log that is being copied, to be truncated next, has its lines in two files for a while.
        """
        log = self._current
        if log is None or file is log:
            return False
        return log.agrees(file, before.offset) or (before.offset == 0 < log.mark.offset and file.holds(log.mark))

    def _pass_over(self, copy: OpenFile) -> None:
        """Let go of a copy of the log. If the log is truncated before it was read on, the copy will be looked for."""
        self._files.remove(copy)
        if self._current and self._current.mark.offset == 0:  # of which nothing but the time leads to the copy
            self._current.backdate(copy.changed())
        copy.close()

    def _drop(self) -> None:
        """All have been read to their ends: let go of those that hardly anybody writes to any more."""
        rotated = sorted((file for file in self._files if file is not self._current), key=OpenFile.changed)
        for place, file in enumerate(rotated, start=_KEPT - len(rotated)):
            if place < 0 or file.deleted():
                self._files.remove(file)
                file.close()

    def _save(self) -> None:
        self._positions.save(str(self._path), [file.mark.to_json() for file in self._files])


def _marks(saved: object) -> list[Mark] | None:
    """What was saved; None where nothing was, or nothing that makes sense."""
    try:
        return [Mark.from_json(value) for value in saved] if isinstance(saved, list) else None
    except (ValueError, TypeError, AttributeError):
        return None
