"""Rotated by the real logrotate, in all the ways in which OpenVPN's logs are: each line comes once."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.follow.conftest import Reader
from tests.support.needs import need, need_root

WAYS = {
    "create": "create",
    "create, late": "create",  # OpenVPN goes on in the renamed file until the next rotation
    "nocreate": "nocreate",
    "create, delaycompress": "create\ncompress\ndelaycompress",
    "extension": "create\nextension .log",
    "extension, delaycompress": "create\nextension .log\ncompress\ndelaycompress",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
    "dateext, extension": "create\ndateext\ndateformat -%Y%m%d-%s\nextension .log",
    "seconds": "create\ndateext\ndateformat -%s",
    "copytruncate": "copytruncate",
    "copytruncate, delaycompress": "copytruncate\ncompress\ndelaycompress",
    "copytruncate, dateext": "copytruncate\ndateext\ndateformat .%Y-%m-%d-%s",
}


class Rotated:
    """A log, another server's log beside it with a name that is like a rotated one's, and logrotate."""

    def __init__(self, folder: Path, reader: Reader, directives: str) -> None:
        self._reader = reader
        self._sibling = reader.log.with_name("server-443.log")
        self._config, self._state = folder / "logrotate.conf", folder / "logrotate.state"
        self._config.write_text(f"{reader.log} {{\nsu root root\nrotate 100\nmissingok\n{directives}\n}}\n")
        self._config.chmod(0o600)
        self._dated = "dateext" in directives
        self.written: list[bytes] = []
        self._writer = reader.log.open("ab", buffering=0)

    def open_anew(self) -> None:
        self.close()
        self._writer = self._reader.log.open("ab", buffering=0)

    def close(self) -> None:
        self._writer.close()

    def write(self, lines: int) -> None:
        for _ in range(lines):
            line = b"2026-11-26 10:00:00 line %d" % len(self.written)
            self.written.append(line)
            self._writer.write(line + b"\n")
        with self._sibling.open("ab") as sibling:
            sibling.write(b"2026-11-26 10:00:00 of another server\n" * lines)

    def rotate(self) -> None:
        if self._dated:
            time.sleep(1.05)  # no two rotated files can have the same name
        done = subprocess.run(
            ["logrotate", "--force", "--state", self._state, self._config], check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("way", WAYS)
def test_each_line_comes_once(tmp_path: Path, reader: Reader, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """While it is followed and while it is not; with old files that look young."""
    need_root()
    need("logrotate")
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311  # chaos, not secrets
    reader.log.touch()
    rotated = Rotated(tmp_path, reader, WAYS[way])
    got = reader.read()
    for _ in range(4 if "dateext" in WAYS[way] else 8):
        rotated.write(chance.randrange(4))
        if chance.random() < 0.5:
            got += reader.read()
        if chance.random() < 0.5:
            reader.source.close()
            reader.restart()
        if chance.random() < 0.7:
            if "compress" in WAYS[way]:
                got += reader.read()  # what is not read when it is compressed is lost
            rotated.rotate()
            for old in sorted(reader.log.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:2]:
                if old != reader.log and not old.name.endswith((".gz", "443.log")) and chance.random() < 0.3:
                    os.utime(old)
            if "late" in way:
                rotated.write(chance.randrange(3))
            rotated.open_anew()
        rotated.write(chance.randrange(4))
    got += reader.read()
    rotated.close()
    reader.source.close()
    assert sorted(got) == sorted(rotated.written)
    assert caplog.text == ""
