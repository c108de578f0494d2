"""Regular files, and what has taken the place of one: a pipe, a folder, a newer file."""

import errno
import os
from pathlib import Path

import pytest

from exporter.files import open_regular, read_named


def test_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert read_named(file, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than") as caught:
        read_named(file, 99)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_no_file(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "x")
    for function in (open_regular, lambda path: read_named(path, 1)):
        with pytest.raises(OSError, match="not a regular file"):
            function(tmp_path / "x")


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """A program that waits for a reader would go on, and lose what it then writes."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe")
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):  # there has been no reader
        os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    before = os.listdir("/proc/self/fd")
    read_named(tmp_path / "file", 1)
    with pytest.raises(OSError, match="not a regular file"):
        read_named(tmp_path / "pipe", 1)
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_has_been_replaced(tmp_path: Path) -> None:
    """The path still leads to the old one, as one does that is mounted by itself; a descriptor's path is the same."""
    path, new = tmp_path / "file", tmp_path / "new"
    path.write_text("old")
    new.write_text("new")
    with path.open() as held:
        mounted = Path(f"/proc/self/fd/{held.fileno()}")
        assert read_named(mounted, 9) == b"old"
        new.replace(path)
        with pytest.raises(OSError, match="restart") as caught:
            read_named(mounted, 9)
        assert caught.value.errno == errno.ESTALE
    assert read_named(path, 9) == b"new"
