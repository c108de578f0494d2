"""A log in a folder, and a follower of it that can be ended and begun again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.follow.file import FollowedFile
from exporter.follow.positions import Positions


class Reader:
    """Follows `log`, and keeps the lines that it is handed."""

    def __init__(self, log: Path, state: Path | None) -> None:
        self.log = log
        self.lines: list[bytes] = []
        self.now = 0.0
        self.others: list[Path] = []  # logs of other servers
        self._state = state
        self.restart()

    def restart(self) -> None:
        """As a new process would begin."""
        self.source = FollowedFile(
            self.log, self._on_lines, Positions(self._state), lambda: self.others, lambda: self.now
        )

    def read(self) -> list[bytes]:
        """Poll until there is nothing more; the lines since the last call, without their newlines."""
        while self.source.poll():
            pass
        lines, self.lines = self.lines, []
        return lines

    def _on_lines(self, batch: bytes) -> None:
        assert batch.endswith(b"\n")
        self.lines += batch[:-1].split(b"\n")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A follower of a log that does not exist yet, with a state folder; nothing is remembered."""
    (tmp_path / "log").mkdir()
    return Reader(tmp_path / "log" / "server.log", tmp_path / "state")


@pytest.fixture
def append(reader: Reader) -> Callable[[bytes], None]:
    """Appends to the log, under whatever file has its name now."""

    def write(data: bytes) -> None:
        with reader.log.open("ab", buffering=0) as file:
            file.write(data)

    return write
