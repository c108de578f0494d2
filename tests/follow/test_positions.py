"""Remembered positions: private, and replaced as a whole whatever happens."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import RefusedError
from exporter.follow.positions import Positions
from tests.follow.conftest import Reader
from tests.support.needs import need_root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    need_root()
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def fill(disk: Path, *, free: int) -> Path:
    """Fill the disk with one file but for so many pages."""
    filler = disk / "filler"
    size = 0
    with filler.open("wb", buffering=0) as file:
        try:
            while size < 1 << 20:
                size += file.write(b"x" * 4096)
        except OSError:
            file.truncate(size - free * 4096)
    return filler


def test_positions_are_private_and_replaced_whole(tmp_path: Path) -> None:
    """They hold a little of the log, so nobody else may read them; no half-written file ever has their name."""
    positions = Positions(tmp_path / "state")
    positions.save("/var/log/openvpn/server.log", [1])
    positions.save("/var/log/openvpn/server.log", [2])
    positions.save("/var/log/openvpn-server.log", [3])
    assert positions.load("/var/log/openvpn/server.log") == [2]
    assert positions.load("/var/log/openvpn-server.log") == [3]
    files = list((tmp_path / "state").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert sorted(json.loads(file.read_bytes()) for file in files) == [[2], [3]]


def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match=r"--state\.directory .*: Not a directory; it must belong"):
        Positions(tmp_path / "file" / "state")


def test_a_state_folder_that_vanishes_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    positions = Positions(tmp_path / "state")
    (tmp_path / "state").rmdir()
    positions.save("server.log", [1])
    positions.save("server.log", [2])
    assert caplog.text.count("cannot save the position of server.log") == 1
    (tmp_path / "state").mkdir()
    caplog.set_level("INFO")
    positions.save("server.log", [3])
    assert "saved again" in caplog.text


def test_a_position_that_does_not_fit_on_the_disk_leaves_the_old_one(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One page is free: the kernel takes the first half of the new one."""
    positions = Positions(disk / "state")
    old, new = ["o" * 6000], ["n" * 6000]
    positions.save("server.log", old)
    filler = fill(disk, free=1)
    positions.save("server.log", new)
    assert Positions(disk / "state").load("server.log") == old
    assert "cannot save the position of server.log" in caplog.text
    assert "No space left on device; until it can, a restart counts lines again" in caplog.text
    assert len(list((disk / "state").iterdir())) == 1, "nothing half written is left"
    filler.unlink()
    positions.save("server.log", new)
    assert positions.load("server.log") == new


def test_no_line_is_lost_over_a_restart_with_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """Lines that could not be remembered as read are read again; those of before are not."""
    reader = Reader(tmp_path / "server.log", disk / "state")
    reader.log.write_bytes(b"x" * 1500 + b"\nold\n")
    reader.read()
    filler = fill(disk, free=0)
    with reader.log.open("ab") as file:
        file.write(b"new\n")
    assert reader.read() == [b"new"]
    reader.restart()
    assert reader.read() == [b"new"]
    filler.unlink()
    reader.restart()
    assert reader.read() == [b"new"]
    reader.restart()
    assert reader.read() == []


def test_a_size_limit_of_the_process_is_no_torn_position_either(tmp_path: Path) -> None:
    """RLIMIT_FSIZE lets a write take a part, as a quota does."""
    code = (
        "import resource, signal, sys, pathlib\n"
        "from exporter.follow.positions import Positions\n"
        "positions = Positions(pathlib.Path(sys.argv[1]))\n"
        "positions.save('log', 'old')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "positions.save('log', 'n' * 8000)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, stderr=subprocess.DEVNULL)
    assert Positions(tmp_path).load("log") == "old"
