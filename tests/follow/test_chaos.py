"""The follower is killed at random moments while its log is rotated both ways: no line is lost, none comes twice."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.numbered import Account, line
from tests.support.openvpn import wait_until

GENERATIONS = 400  # rotated files that are kept: all, however few lives come to reading on a busy machine


class Writer(threading.Thread):
    """Appends numbered lines as OpenVPN does: whole lines, and to a renamed file until it is told to open anew."""

    def __init__(self, log: Path, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.written = Account()
        self._log = log
        self._chance = chance
        self._turn = threading.Lock()  # held while a line is written, and by who copies and truncates
        self._stopping = threading.Event()
        self._fd = self._open()

    def run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            for _ in range(self._chance.choice([1, 1, 2, 5, 50])):
                size = self._chance.choice([0, 1, 60, 90, 200, 3000])
                if self._chance.random() < 0.002:
                    size = 100_000
                number += 1
                with self._turn:
                    data = line(number, size)
                    middle = self._chance.randrange(len(data)) if self._chance.random() < 0.1 else len(data)
                    for part in (data[:middle], data[middle:]):  # some lines come in two pieces
                        assert os.write(self._fd, part) == len(part)
                    self.written = self.written.with_number(number)
            time.sleep(self._chance.random() * 0.004)

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        os.close(self._fd)

    def rename(self) -> None:
        """Rotation by renaming; the writer goes on in the renamed file for a while."""
        self._shift()
        self._log.rename(f"{self._log}.1")
        time.sleep(self._chance.choice([0, 0.001, 0.02]))
        fresh = self._open()
        time.sleep(self._chance.choice([0, 0.01]))
        with self._turn:
            os.close(self._fd)
            self._fd = fresh

    def copy_and_truncate(self) -> None:
        """Rotation by copying and truncating, at leisure, in a moment in which nobody writes."""
        self._shift()
        with self._turn, Path(f"{self._log}.1").open("wb", buffering=0) as copy:
            data = self._log.read_bytes()
            middle = self._chance.randrange(len(data) + 1)
            for part in (b"", data[:middle], data[middle:]):
                copy.write(part)
                time.sleep(self._chance.choice([0, 0, 0.001, 0.02]))
            os.truncate(self._log, 0)

    def _shift(self) -> None:
        for number in range(GENERATIONS, 0, -1):
            older = Path(f"{self._log}.{number}")
            if older.exists():
                older.rename(f"{self._log}.{number + 1}")

    def _open(self) -> int:
        return os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@pytest.mark.parametrize("lives", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_lines_counted_over_all_lives_equal_lines_written(tmp_path: Path, lives: int) -> None:
    """Each is ended by SIGKILL at a random moment, and there is a rotation of either kind in about half of them."""
    seed = time.time_ns()
    chance = random.Random(seed)  # noqa: S311  # chaos, not secrets
    log, state = tmp_path / "server.log", tmp_path / "state.json"
    writer = Writer(log, random.Random(seed + 1))  # noqa: S311

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "tests.support.life", str(log), str(state)])

    life = begin()
    wait_until(state.exists, "the first life remembers where it began")
    writer.start()
    rotations = 0
    try:
        for _ in range(lives):
            time.sleep(chance.random() * 0.4)  # some lives end before they have begun to read
            if chance.random() < 0.5:
                chance.choice([writer.rename, writer.copy_and_truncate])()
                rotations += 1
                time.sleep(chance.choice([0, 0, 0.05]))
            life.send_signal(signal.SIGKILL)
            assert life.wait() == -signal.SIGKILL, "the follower ended by itself"
            if chance.random() < 0.3:  # rotated while no follower lives
                chance.choice([writer.rename, writer.copy_and_truncate])()
                rotations += 1
            life = begin()
        writer.stop()

        def account() -> Account:
            return Account(*json.loads(state.read_bytes())["account"])

        wait_until(lambda: account().lines >= writer.written.lines or life.poll() is not None, "all is read", 20)
        time.sleep(0.2)  # were a line to come twice, it would come now
        print(f"seed {seed}: {writer.written.lines} lines, {rotations} rotations")
        assert account() == writer.written
    finally:
        life.kill()
        life.wait()
