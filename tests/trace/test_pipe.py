"""Following what somebody else's bpftrace writes."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.background import BackgroundThread
from exporter.trace.pipe import Input
from tests.support.needs import missing


class Followed:
    """An Input, and what came of it."""

    def __init__(self, path: Path) -> None:
        self.lines: list[bytes] = []
        self.input = Input(path, self.lines.append)
        self.thread = BackgroundThread("input", self._round)
        self.thread.start()

    def _round(self) -> float:
        self.input.run(self.thread)
        return 0.0

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (self.lines, self.input.fault)
            time.sleep(0.01)


@pytest.fixture
def follow() -> Iterator[Callable[[Path], Followed]]:
    followed: list[Followed] = []

    def start(path: Path) -> Followed:
        followed.append(Followed(path))
        return followed[-1]

    yield start
    for each in followed:
        assert each.thread.stop(10)


def test_pipe(tmp_path: Path, follow: Callable[[Path], Followed]) -> None:
    """A named pipe that comes later; writers that come and go; a pipe that is made anew."""
    path = tmp_path / "pipe"
    followed = follow(path)
    followed.until(lambda: followed.input.fault)
    assert "No such file" in str(followed.input.fault)
    for life in range(2):
        os.mkfifo(path)
        for writer in range(2):
            with path.open("wb") as pipe:
                pipe.write(b"line %d %d\n" % (life, writer))
            followed.until(lambda count=2 * life + writer + 1: len(followed.lines) == count)  # type: ignore[misc]
            assert followed.input.fault is None
        path.unlink()
    assert followed.lines == [b"line 0 0", b"line 0 1", b"line 1 0", b"line 1 1"]


def test_a_writer_that_stays_away(tmp_path: Path, follow: Callable[[Path], Followed]) -> None:
    """Opening a pipe that nobody writes to holds nobody up, and costs next to no time."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    followed = follow(path)
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.5
    assert followed.thread.stop(1)


def test_file(tmp_path: Path, follow: Callable[[Path], Followed]) -> None:
    """A file that grows, is cut to nothing, and is replaced."""
    path = tmp_path / "file"
    path.write_bytes(b"one\ntw")
    followed = follow(path)
    followed.until(lambda: followed.lines == [b"one"])
    with path.open("ab") as file:
        file.write(b"o\n")
    followed.until(lambda: followed.lines == [b"one", b"two"])
    path.write_bytes(b"three\n")  # shorter than it was, whether or not it is seen empty in between
    followed.until(lambda: followed.lines[2:] == [b"three"])
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"four\n")
    fresh.rename(path)
    followed.until(lambda: followed.lines[3:] == [b"four"])


def test_a_folder(tmp_path: Path, follow: Callable[[Path], Followed]) -> None:
    """What cannot be read is a fault, not an end."""
    followed = follow(tmp_path)
    followed.until(lambda: followed.input.fault)
    assert "Is a directory" in str(followed.input.fault)


def test_with_a_thousand_descriptors_open(tmp_path: Path, follow: Callable[[Path], Followed]) -> None:
    """As with many logs and LimitNOFILE raised: select() takes no descriptor above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        missing("this test opens more than 1024 files; run: ulimit -H -n 4096")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        followed = follow(path)
        with path.open("wb") as pipe:
            pipe.write(b"line\n")
        followed.until(lambda: followed.lines == [b"line"])
        assert followed.thread.fault is None
        assert followed.thread.stop(10)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
