"""Reading status files while they are written."""

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from exporter.probes.statusfile import Reading, current_time, read_whole
from tests.support.statusfiles import MOMENT, version_23


class Writer(threading.Thread):
    """Rewrites a file as OpenVPN does: in place, in pieces of 512 bytes, then cut to its new length."""

    def __init__(self, path: Path, contents: list[bytes]) -> None:
        super().__init__()
        self._path = path
        self._contents = itertools.cycle(contents)
        self._ended = threading.Event()
        self.longest = 0.0  # seconds that one rewriting took

    def run(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        while True:
            content = next(self._contents)
            begun = time.monotonic()
            for begin in range(0, len(content), 512):
                os.pwrite(descriptor, content[begin : begin + 512], begin)
            os.ftruncate(descriptor, len(content))
            self.longest = max(self.longest, time.monotonic() - begun)
            if self._ended.wait(0.3):
                break
        os.close(descriptor)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def test_no_reading_is_a_mixture_of_two(tmp_path: Path) -> None:
    """Files of different lengths and names, rewritten all the time: what is settled is one of them, whole."""
    path = tmp_path / "status"
    contents = [version_23([f"{letter}{number}" for number in range(count)], ",") for letter, count in
                (("a", 3000), ("bb", 1000), ("ccc", 4000))]  # fmt: skip  # three that share no row
    for _ in range(5):
        writer = Writer(path, contents)
        writer.start()
        readings: list[Reading] = []
        try:
            while len(readings) < 20:
                if path.exists():
                    readings.append(read_whole(path))
        finally:
            writer.stop()
        if writer.longest < 0.08:
            break  # else the machine held the writer up in the middle, for so long that it looked at rest
    settled = [reading.data for reading in readings if reading.settled]
    assert all(data in contents for data in settled)
    assert len(settled) >= 5, "between two rewritings there is time enough to read"


def test_a_file_at_rest_is_settled_at_once(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_bytes(version_23(["alice"], "\t"))
    os.utime(path, (MOMENT, MOMENT))
    assert read_whole(path) == (version_23(["alice"], "\t"), True)
    assert current_time(path, MOMENT) == MOMENT


def test_a_time_in_the_future_does_not_unsettle(tmp_path: Path) -> None:
    """The clock was set back."""
    path = tmp_path / "status"
    path.write_bytes(b"x")
    os.utime(path, (2**32, 2**32))
    assert read_whole(path).settled


def test_what_is_not_a_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read_whole(path)


def test_a_file_that_is_far_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "status"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(OSError, match="larger than 64 MiB"):
        read_whole(path)
