"""Whatever happens to a log in whatever order, and whenever it is looked at: each line comes once."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.follow.conftest import Reader

LONGEST = 40  # steps


class Log(RuleBasedStateMachine):
    """A log that is written, rotated in either way, touched, and followed by one process after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.log = folder / "log" / "server.log"
        self.log.parent.mkdir()
        for number in (1, 2):
            Path(f"{self.log}.{number}").write_bytes(b"from before %d\n" % number)
        self.log.touch()
        self.reader = Reader(self.log, folder / "state")
        self.reader.read()
        self.append = True
        self.writer = self.open()
        self.copy: Path | None = None
        self.written: list[bytes] = []
        self.read: list[bytes] = []

    def teardown(self) -> None:
        self.finish_copy() if self.copy else None
        self.follow()
        self.reader.source.close()
        self.writer.close()
        self._folder.cleanup()
        assert sorted(self.read) == sorted(self.written)

    @initialize(append=st.booleans())
    def choose(self, append: bool) -> None:
        """OpenVPN's `log-append`, or its `log`, which goes on where it was in a log that was truncated under it."""
        self.append = append
        self.open_anew()

    def open(self) -> BinaryIO:
        fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self.append else 0), 0o600)
        os.lseek(fd, 0, os.SEEK_END)
        return os.fdopen(fd, "wb", buffering=0)

    @invariant()
    def _time_passes(self) -> None:
        time.sleep(0.005)  # more than the unit in which the kernel counts times of files

    @precondition(lambda self: self.copy is None)
    @rule(lines=st.integers(1, 3))
    def write(self, lines: int) -> None:
        for _ in range(lines):
            line = b"%d" % len(self.written)
            self.written.append(line)
            self.writer.write(line + b"\n")

    @precondition(lambda self: self.copy is None)
    @rule(reopen=st.booleans())
    def rename(self, reopen: bool) -> None:  # hypothesis calls it
        """OpenVPN may open its log anew at once, or go on in the renamed one until the next rotation."""
        self._shift()
        self.log.rename(f"{self.log}.1")
        self.log.touch()
        if reopen:
            self.open_anew()

    @precondition(lambda self: self.copy is None)
    @rule()
    def open_anew(self) -> None:
        self.writer.close()
        self.writer = self.open()

    @precondition(lambda self: self.copy is None and os.fstat(self.writer.fileno()).st_ino == self.log.stat().st_ino)
    @rule(part=st.sampled_from([0, 0.5, 1]))
    def start_copy(self, part: float) -> None:
        self._shift()
        self.copy = Path(f"{self.log}.1")
        data = self.log.read_bytes()
        self.copy.write_bytes(data[: int(len(data) * part)])

    @precondition(lambda self: self.copy is not None)
    @rule()
    def finish_copy(self) -> None:
        assert self.copy
        data, size = self.log.read_bytes(), self.copy.stat().st_size
        with self.copy.open("ab") as file:
            file.write(data[size:])
        os.truncate(self.log, 0)
        self.copy = None

    @rule(number=st.integers(1, 6))
    def touch_old(self, number: int) -> None:
        old = Path(f"{self.log}.{number}")
        if old.exists():
            old.touch()

    @precondition(lambda self: self.copy is None)
    @rule(looks=st.integers(0, 2), restarted=st.booleans(), rotated=st.booleans())
    def move_away_and_back(self, looks: int, restarted: bool, rotated: bool) -> None:  # as above
        """As a file system that is mounted late, or anew."""
        folder = self.log.parent
        folder.rename(folder.with_name("away"))
        if restarted:
            self.restart()
        for _ in range(looks):
            with contextlib.suppress(FileNotFoundError):
                self.reader.source.poll()
        self.write(1)
        folder.with_name("away").rename(folder)
        if rotated:
            self.rename(reopen=True)

    @rule()
    def look(self) -> None:
        self.reader.source.poll()

    @rule()
    def follow(self) -> None:
        self.read += self.reader.read()

    @rule()
    def restart(self) -> None:
        self.read += self.reader.lines
        self.reader.lines = []
        self.reader.source.close()
        self.reader.restart()

    def _shift(self) -> None:
        for number in range(2 * LONGEST, 0, -1):  # a step may rotate once; nothing is overwritten
            older = Path(f"{self.log}.{number}")
            if older.exists():
                older.rename(f"{self.log}.{number + 1}")


class TestLog(Log.TestCase):  # type: ignore[misc, valid-type]  # made at runtime
    settings = hypothesis.settings(deadline=None, max_examples=40, stateful_step_count=25)


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestLogAtLength(Log.TestCase):  # type: ignore[misc, valid-type]
    settings = hypothesis.settings(deadline=None, max_examples=300, stateful_step_count=LONGEST)


def test_a_copy_that_was_seen_when_it_held_nothing_but_the_hole() -> None:
    """And an exporter that begins anew before the log is truncated: what it has read in the log is not news."""
    state = Log()
    _in_order(
        state, lambda: state.choose(append=False), lambda: state.write(lines=1),
        lambda: state.start_copy(part=0), state.finish_copy, state.restart, lambda: state.write(lines=1),
        lambda: state.start_copy(part=0.5), state.follow, state.restart, state.finish_copy, state.follow,
    )  # fmt: skip


def test_a_copy_in_a_folder_that_is_away_when_the_log_is_read() -> None:
    """The log was filled, copied and truncated unseen; the file system with it all is just being mounted anew."""
    state = Log()
    _in_order(
        state, lambda: state.choose(append=False), lambda: state.write(lines=1),
        lambda: state.start_copy(part=0), state.finish_copy, lambda: state.write(lines=1),
        lambda: state.move_away_and_back(looks=1, restarted=False, rotated=False), state.follow,
    )  # fmt: skip


def _in_order(state: Log, *steps: Callable[[], None]) -> None:
    for step in steps:
        step()
        state._time_passes()  # noqa: SLF001  # as hypothesis calls it
    state.teardown()
