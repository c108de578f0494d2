"""What names and times of modification must not make a follower believe."""

import gzip
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.follow.base import BATCH
from tests.follow.conftest import Reader

Append = Callable[[bytes], None]


def rotate(reader: Reader, append: Append, kept: int = 9) -> None:
    """As logrotate does with `create`."""
    for number in range(kept, 0, -1):
        older = Path(f"{reader.log}.{number}")
        if older.exists():
            older.rename(f"{reader.log}.{number + 1}")
    reader.log.rename(f"{reader.log}.1")
    append(b"")


def copy_and_truncate(reader: Reader, kept: int = 9) -> None:
    for number in range(kept, 0, -1):
        older = Path(f"{reader.log}.{number}")
        if older.exists():
            older.rename(f"{reader.log}.{number + 1}")
    shutil.copyfile(reader.log, f"{reader.log}.1")
    os.truncate(reader.log, 0)


# Old files with young times


def unpack(folder: Path) -> None:
    (folder / "server.log.7").write_bytes(gzip.decompress((folder / "server.log.7.gz").read_bytes()))


def touch(folder: Path) -> None:
    for path in folder.iterdir():
        path.touch()


def copy_back(folder: Path) -> None:
    """Moved elsewhere and back by `cp -r`."""
    shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


@pytest.mark.parametrize("make_young", [unpack, touch, copy_back])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("how", ["rename", "copy"])
@pytest.mark.parametrize("first", [b"", b"10:00:09 seen\n"])
def test_old_files_are_not_read_again_though_their_times_are_young(
    reader: Reader, append: Append, make_young: Callable[[Path], None], how: str, first: bytes, *, restarted: bool
) -> None:
    folder = reader.log.parent
    for number in range(1, 6):
        (folder / f"server.log.{number}").write_bytes(b"10:00:0%d old\n" % number)
    (folder / "server.log.7.gz").write_bytes(gzip.compress(b"very old\n" * 9))
    append(first)
    assert reader.read() == []
    time.sleep(0.01)
    if restarted:
        reader.source.close()
    make_young(folder)
    if restarted:
        reader.restart()
    append(b"one\n")
    if how == "rename":
        rotate(reader, append)
    else:
        copy_and_truncate(reader)
    append(b"two\n")
    assert sorted(reader.read()) == [b"one", b"two"]
    if restarted:
        reader.restart()
    rotate(reader, append)
    append(b"three\n")
    assert reader.read() == [b"three"]


def test_an_unpacked_old_file_is_not_read_though_the_log_was_lost(reader: Reader, append: Append) -> None:
    """Compressed at once, so that nothing tells where it was in the order."""
    folder = reader.log.parent
    (folder / "server.log.7.gz").write_bytes(gzip.compress(b"very old\n" * 9))
    append(b"seen\n")
    assert reader.read() == []
    time.sleep(0.01)
    unpack(folder)
    (folder / "server.log.1.gz").write_bytes(gzip.compress(reader.log.read_bytes()))
    reader.log.unlink()
    append(b"new\n")
    reader.restart()
    assert reader.read() == [b"new"]


def test_a_touched_file_that_is_still_followed_hides_no_other(reader: Reader, append: Append) -> None:
    """What was rotated away twice meanwhile is older than it seems to be."""
    append(b"seen\n")
    reader.read()
    copy_and_truncate(reader)
    append(b"one\n")
    assert reader.read() == [b"one"]
    for line in (b"two\n", b"three\n"):
        time.sleep(0.01)
        copy_and_truncate(reader)
        append(line)
    time.sleep(0.01)
    Path(f"{reader.log}.3").touch()
    assert reader.read() == [b"two", b"three"]


# Other logs


@pytest.mark.parametrize("name", ["server-443.log", "server-2.log", "server.2.log", "server.log-443"])
def test_a_log_that_is_not_configured_is_another_servers_all_the_same(
    reader: Reader, append: Append, name: str
) -> None:
    other = reader.log.with_name(name)
    other.write_bytes(b"other\n")
    append(b"seen\n")
    reader.read()
    for number in range(3):
        with other.open("ab") as file:
            file.write(b"other\n" * 5)
        append(b"%d\n" % number)
        rotate(reader, append)
        assert reader.read() == [b"%d" % number]
        reader.restart()


@pytest.mark.parametrize("name", ["server.1.log", "server-20261123.log", "server.log.1"])
def test_a_log_that_is_configured_is_never_a_rotated_file(reader: Reader, append: Append, name: str) -> None:
    """Whatever it is called, and however its folder is spelled in the configuration."""
    link = reader.log.parent.with_name("link")
    link.symlink_to(reader.log.parent)
    reader.others = [reader.log, link / name]
    other = reader.log.with_name(name)
    other.write_bytes(b"other\n")
    append(b"seen\n")
    reader.read()
    with other.open("ab") as file:
        file.write(b"other\n" * 5)
    append(b"one\n")
    reader.log.rename(reader.log.with_name("server.log.2"))
    append(b"two\n")
    assert reader.read() == [b"one", b"two"]


# Folders that come later


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_folder_that_is_not_there_at_the_start_costs_no_position(
    reader: Reader, append: Append, restarts: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a file system that is mounted late."""
    append(b"old\n" * 5)
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    folder = reader.log.parent
    folder.rename(folder.with_name("away"))
    for _ in range(restarts):
        reader.restart()
        for _ in range(3):
            with pytest.raises(FileNotFoundError):
                reader.read()
    with (folder.with_name("away") / "server.log").open("ab") as file:
        file.write(b"unread\n")
    folder.with_name("away").rename(folder)
    assert reader.read() == [b"unread"]
    assert caplog.text == ""


def test_a_folder_that_comes_back_rotated(reader: Reader, append: Append) -> None:
    append(b"old\n")
    reader.read()
    append(b"unread\n")
    folder = reader.log.parent
    folder.rename(folder.with_name("away"))
    reader.restart()
    with pytest.raises(FileNotFoundError):
        reader.read()
    (folder.with_name("away") / "server.log").rename(folder.with_name("away") / "server.log.1")
    (folder.with_name("away") / "server.log").write_bytes(b"new\n")
    folder.with_name("away").rename(folder)
    assert reader.read() == [b"unread", b"new"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_log_that_comes_with_its_folder_is_old(reader: Reader, append: Append, *, restarted: bool) -> None:
    """Nothing was remembered of it: what was written before the start does not count, as ever."""
    folder = reader.log.parent
    append(b"old\n" * 5)
    Path(f"{reader.log}.1").write_bytes(b"older\n" * 5)
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    folder.rename(folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        reader.read()
    if restarted:
        reader.restart()
    folder.with_name("away").rename(folder)
    assert reader.read() == []
    append(b"new\n")
    assert reader.read() == [b"new"]


def test_a_folder_that_goes_away_just_after_the_log_was_truncated(
    reader: Reader, append: Append, caplog: pytest.LogCaptureFixture
) -> None:
    """Its copy cannot be found before the folder is back."""
    Path(f"{reader.log}.1").write_bytes(b"old\n")
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    append(b"unread\n")
    copy_and_truncate(reader)
    folder = reader.log.parent
    folder.rename(folder.with_name("away"))
    assert reader.read() == []
    folder.with_name("away").rename(folder)
    append(b"new\n")
    assert reader.read() == [b"unread", b"new"]
    assert caplog.text == ""


# The same text again

TEXT = b"OpenVPN 2.6.14 x86_64-pc-linux-gnu\nExiting due to fatal error\n"


def test_a_log_rewritten_with_the_same_text_counts_again(reader: Reader) -> None:
    """A server that fails to start in the same way each time, with `log` and `suppress-timestamps`."""
    reader.log.touch()
    assert reader.read() == []
    for _ in range(6):
        time.sleep(0.01)
        reader.log.write_bytes(TEXT)
        got = reader.read()
        reader.now += 0.5
        assert got + reader.read() in ([], TEXT.splitlines()), "a write may be under way"
        reader.now += 0.6
        assert len(got + reader.read()) <= 2
        reader.now += 1
        reader.read()
    reader.now += 5
    assert reader.read() == []


def test_how_often_a_log_was_rewritten(reader: Reader) -> None:
    reader.log.touch()
    lines = reader.read()
    for _ in range(6):
        time.sleep(0.01)
        reader.log.write_bytes(TEXT)
        for _ in range(5):  # half a second apart
            lines += reader.read()
            reader.now += 0.5
    assert lines == TEXT.splitlines() * 6


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (b"2026-11-26 10:00:00 OpenVPN 2.6.14\n", None),  # with a time, the same text is not written twice
        (b"1795664857.123456 1 OpenVPN 2.6.14\n", None),
        (b"OpenVPN 2.6.14\n" * 30_000, None),  # nor is a text as long
        (TEXT, (1e9, 1e9)),  # no writer sets the mtime to another time
        (TEXT, "new"),
    ],
)
def test_touching_a_log_is_not_rewriting_it(reader: Reader, append: Append, text: bytes, when: object) -> None:
    reader.log.touch()
    reader.read()
    append(text)
    assert len(reader.read()) == text.count(b"\n")
    for _ in range(3):
        time.sleep(0.01)
        if when == "new":
            now = time.time_ns()
            time.sleep(0.01)
            os.utime(reader.log, ns=(now, now))  # as ansible does
        else:
            os.utime(reader.log, when)  # type: ignore[arg-type]  # None or a pair
        for _ in range(5):
            assert reader.read() == []
            reader.now += 0.5


def test_a_write_under_way_is_not_a_rewritten_log(reader: Reader, append: Append) -> None:
    """The kernel may set the mtime some time before there is more to read."""
    reader.log.touch()
    reader.read()
    append(TEXT)
    assert reader.read() == TEXT.splitlines()
    time.sleep(0.01)
    os.utime(reader.log)
    assert reader.read() == []
    reader.now += 0.9
    append(b"more\n")
    assert reader.read() == [b"more"]
    reader.now += 5
    assert reader.read() == []


# Holes


def test_a_hole_is_skipped_at_once(reader: Reader) -> None:
    """OpenVPN's --log without O_APPEND: whatever was ever written is a hole after each truncation."""
    with reader.log.open("wb", buffering=0) as openvpn:
        reader.read()
        openvpn.write(b"first\n")
        assert reader.read() == [b"first"]
        openvpn.seek(8 << 30)
        openvpn.write(b"far\n")
        before = time.process_time()
        assert reader.read() == [b"far"]
        os.truncate(reader.log, 0)
        openvpn.write(b"new\n")
        assert reader.read() == [b"new"]
        reader.restart()
        openvpn.write(b"newer\n")
        assert reader.read() == [b"newer"]
        assert time.process_time() - before < 0.5


def test_a_hole_before_a_half_written_line(reader: Reader) -> None:
    with reader.log.open("wb", buffering=0) as openvpn:
        openvpn.seek(4 << 30)
        openvpn.write(b"hal")
        before = time.process_time()
        assert reader.read() == []
        openvpn.write(b"f\n")
        assert reader.read() == [b"half"]
        assert time.process_time() - before < 0.5


def test_a_copy_of_a_log_with_a_hole_is_read_once(reader: Reader) -> None:
    """Copied while its lines are in the log as well, and truncated next."""
    with reader.log.open("wb", buffering=0) as openvpn:
        reader.read()
        openvpn.write(b"first\n")
        assert reader.read() == [b"first"]
        openvpn.seek(40 * BATCH)
        openvpn.write(b"two\n")
        assert reader.read()[-1].lstrip(b"\0") == b"two"
        for number in range(3):
            openvpn.write(b"before %d\n" % number)
            copy_and_truncate(reader)
            openvpn.write(b"after %d\n" % number)
            assert reader.read() == [b"before %d" % number, b"after %d" % number]
            reader.restart()
            assert reader.read() == []


@pytest.mark.parametrize("sparse", [True, False])
def test_no_poll_takes_long_however_many_nuls_there_are(reader: Reader, *, sparse: bool) -> None:
    """So that a stop is not delayed; also if a copy has real NULs in place of the hole."""
    with reader.log.open("wb", buffering=0) as openvpn:
        reader.read()
        if sparse:
            openvpn.truncate(64 << 20)
        else:
            openvpn.write(bytes(64 << 20))
        openvpn.seek(64 << 20)
        openvpn.write(b"line\n")
    longest, more = 0.0, True
    while more:
        begin = time.process_time()
        more = reader.source.poll()
        longest = max(longest, time.process_time() - begin)
    assert reader.lines == [b"line"]
    assert longest < 0.1


def test_descriptors_beyond_1023(reader: Reader, append: Append) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), max(hard, 2048)))
    held = [os.dup(0) for _ in range(1100)]
    try:
        append(b"old\n")
        assert reader.read() == []
        append(b"one\n")
        rotate(reader, append)
        append(b"two\n")
        assert reader.read() == [b"one", b"two"]
        reader.source.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
