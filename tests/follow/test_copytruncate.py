"""What copying and truncating loses for everybody: lines written between the two. Measured, and nothing beyond that."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.follow.conftest import Reader

ROUNDS = 40


class Writer(threading.Thread):
    """Appends numbered lines without pause, and knows nothing of rotations."""

    def __init__(self, log: Path) -> None:
        super().__init__(daemon=True)
        self.written = 0
        self._log = log
        self._stopping = threading.Event()

    def run(self) -> None:
        with self._log.open("ab", buffering=0) as file:
            while not self._stopping.is_set():
                self.written += 1
                file.write(b"%d\n" % self.written)
                time.sleep(0.0001)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def test_only_what_no_file_holds_is_lost(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line that is in the log or in a copy of it is counted, and none twice, however the moments fall."""
    log = reader.log
    log.touch()
    counted = reader.read()
    writer = Writer(log)
    writer.start()
    for number in range(ROUNDS, 0, -1):
        for _ in range(5):
            counted += reader.read()
            time.sleep(0.002)
        # As logrotate does it, which cannot keep the writer from writing in between.
        shutil.copyfile(log, log.with_name(f"{log.name}.{number}"))
        time.sleep(0.001)
        os.truncate(log, 0)
    writer.stop()
    counted += reader.read()

    held = {line for path in log.parent.iterdir() for line in path.read_bytes().split(b"\n")[:-1]}
    assert len(counted) == len(set(counted)), "a line was counted twice"
    assert held <= set(counted), "a line that a file holds was not counted"
    assert {int(line) for line in counted} <= set(range(1, writer.written + 1))
    lost = writer.written - len(counted)
    with capsys.disabled():
        print(f"\n{ROUNDS} rotations by copytruncate: {writer.written} lines written, {lost} lost", end=" ")
