"""Lines of a growing file: each once, whatever happens to the file."""

import errno
import gzip
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.follow.base import BATCH
from exporter.follow.checkpoint import cut_batch
from exporter.follow.openfile import OpenFile
from exporter.follow.rotation import reconcile
from tests.follow.conftest import Reader

Append = Callable[[bytes], None]


def rotated(reader: Reader, number: int = 1) -> Path:
    return Path(f"{reader.log}.{number}")


def copy_and_truncate(reader: Reader) -> None:
    shutil.copyfile(reader.log, rotated(reader))
    os.truncate(reader.log, 0)


def with_room_for(files: int, poll: Callable[[], bool]) -> bool | None:
    """Poll while no more files can be open in this process; None where that was too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        return poll()
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Beginning


def test_what_was_there_before_is_not_read(reader: Reader, append: Append) -> None:
    append(b"old\n")
    assert reader.read() == []
    append(b"new\n")
    assert reader.read() == [b"new"]


def test_a_line_half_written_at_the_start_is_read_whole(reader: Reader, append: Append) -> None:
    append(b"old\nhal")
    assert reader.read() == []
    append(b"f\n")
    assert reader.read() == [b"half"]


def test_a_file_that_appears_later_is_read_from_its_beginning(reader: Reader, append: Append) -> None:
    with pytest.raises(FileNotFoundError, match=r"server\.log"):
        reader.read()
    append(b"first\n")
    assert reader.read() == [b"first"]


def test_a_folder_that_appears_later(tmp_path: Path) -> None:
    """The folder may come with the file."""
    reader = Reader(tmp_path / "later" / "server.log", None)
    with pytest.raises(FileNotFoundError):
        reader.read()
    reader.log.parent.mkdir()
    reader.log.write_bytes(b"first\n")
    assert reader.read() == [b"first"]


def test_it_appears_while_no_follower_lives(reader: Reader, append: Append) -> None:
    """That it was missing is remembered too: everything in it is new."""
    with pytest.raises(FileNotFoundError):
        reader.read()
    append(b"first\n")
    reader.restart()
    assert reader.read() == [b"first"]


# Lines


def test_a_line_counts_when_its_newline_is_there(reader: Reader, append: Append) -> None:
    reader.log.touch()
    for part, lines in ((b"on", []), (b"e", []), (b"\ntwo\nth", [b"one", b"two"]), (b"ree\n", [b"three"])):
        append(part)
        assert reader.read() == lines


def test_any_bytes(reader: Reader, append: Append) -> None:
    """Invalid UTF-8, NULs inside a line, carriage returns and empty lines come as they are."""
    reader.log.touch()
    lines = [b"\xff\xfe\xc3", b"a\0b", b"", b"\r", b"\x85\x0b\x0c"]
    reader.read()
    append(b"".join(line + b"\n" for line in lines))
    assert reader.read() == lines


def test_a_line_of_100_kilobytes_comes_whole(reader: Reader, append: Append) -> None:
    reader.log.touch()
    reader.read()
    long = b"x" * 100_000
    got = []
    for part in (b"a\n", long[:70_000], long[70_000:], b"\nb\n"):
        append(part)
        got += reader.read()
    assert got == [b"a", long, b"b"]


def test_a_line_without_end_is_cut_and_memory_is_bounded(reader: Reader, append: Append) -> None:
    """The first BATCH bytes are handed over as a line; the rest is passed over, over a restart too."""
    reader.log.touch()
    reader.read()
    append(b"y" * (3 * BATCH))
    assert reader.read() == [b"y" * BATCH]
    reader.restart()
    append(b"the rest\nnext\n")
    assert reader.read() == [b"next"]


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.startswith(b"\0"))), st.data()
)
def test_however_bytes_arrive_the_lines_are_the_same(lines: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, the batches put together are the lines."""
    whole = b"".join(line + b"\n" for line in lines)
    at, end, got, cut = 0, 0, b"", False
    while at < len(whole):
        end = data.draw(st.integers(min(end + 1, len(whole)), len(whole)))
        batch, passed, cut = cut_batch(whole[at:end], cut=cut)
        got += batch
        at += passed
    assert got == whole
    assert not cut


def test_several_writers(reader: Reader) -> None:
    """Two that append to the same file, a line each in turn."""
    with reader.log.open("ab", buffering=0) as one, reader.log.open("ab", buffering=0) as two:
        reader.read()
        for number in range(100):
            one.write(b"one %d\n" % number)
            two.write(b"two %d\n" % number)
            assert reader.read() == [b"one %d" % number, b"two %d" % number]


# Rotation


def test_renamed_and_written_on(reader: Reader, append: Append) -> None:
    """OpenVPN writes into the renamed file until it opens its log anew."""
    append(b"")
    reader.read()
    with reader.log.open("ab", buffering=0) as openvpn:
        openvpn.write(b"before\n")
        assert reader.read() == [b"before"]
        openvpn.write(b"unread\n")
        reader.log.rename(rotated(reader))
        assert reader.read() == [b"unread"]
        append(b"new\n")
        openvpn.write(b"late\n")
        assert sorted(reader.read()) == [b"late", b"new"]
        openvpn.write(b"later\n")
        append(b"newer\n")
        assert sorted(reader.read()) == [b"later", b"newer"]


def test_a_late_line_that_the_new_log_has_in_the_same_place(reader: Reader, append: Append) -> None:
    """Without time stamps lines repeat themselves; a line of the renamed file counts all the same."""
    reader.log.touch()
    reader.read()
    with reader.log.open("ab", buffering=0) as openvpn:
        openvpn.write(b"first start\n")
        assert reader.read() == [b"first start"]
        reader.log.rename(rotated(reader))
        append(b"other start\nsame\n")
        openvpn.write(b"same\n")
        assert sorted(reader.read()) == [b"other start", b"same", b"same"]


def test_copied_and_truncated(reader: Reader, append: Append) -> None:
    """What was not yet read is read from the copy."""
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    append(b"unread\n")
    copy_and_truncate(reader)
    append(b"new\n")
    assert reader.read() == [b"unread", b"new"]


def test_truncated_and_grown_beyond_the_old_size(reader: Reader, append: Append) -> None:
    """Size alone would not tell."""
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    copy_and_truncate(reader)
    append(b"much more than there was before\n")
    assert reader.read() == [b"much more than there was before"]


def test_a_log_that_was_empty_is_filled_copied_and_truncated_between_two_looks(reader: Reader, append: Append) -> None:
    reader.log.touch()
    reader.read()
    append(b"in the copy\n")
    copy_and_truncate(reader)
    append(b"new\n")
    assert sorted(reader.read()) == [b"in the copy", b"new"]
    assert reader.read() == []


def test_a_log_that_was_empty_and_is_so_again(reader: Reader, append: Append) -> None:
    """What came and went in between is in the copy."""
    reader.log.touch()
    reader.read()
    append(b"in the copy\n")
    copy_and_truncate(reader)
    got = reader.read()
    append(b"new\n")
    assert got + reader.read() == [b"in the copy", b"new"]


def test_a_copy_is_seen_before_the_log_is_truncated(reader: Reader, append: Append) -> None:
    """The log was empty when last looked at; the copy, made meanwhile, has what the log itself still tells."""
    reader.log.touch()
    reader.read()
    append(b"one\n")
    shutil.copyfile(reader.log, rotated(reader))
    assert reader.read() == [b"one"]
    os.truncate(reader.log, 0)
    append(b"two\n")
    assert reader.read() == [b"two"]


def test_a_copy_is_seen_before_the_log_is_truncated_in_a_new_life(reader: Reader, append: Append) -> None:
    """Renamed while no follower lived, and just being copied when the next one begins."""
    reader.log.touch()
    reader.read()
    append(b"old\n")
    reader.log.rename(rotated(reader, 2))
    append(b"one\n")
    shutil.copyfile(reader.log, rotated(reader))
    reader.restart()
    assert reader.read() == [b"old", b"one"]
    os.truncate(reader.log, 0)
    append(b"two\n")
    assert reader.read() == [b"two"]


@pytest.mark.parametrize("truncated", [False, True])
def test_a_copy_is_seen_before_it_is_filled(reader: Reader, append: Append, *, truncated: bool) -> None:
    reader.log.touch()
    reader.read()
    append(b"one\n")
    rotated(reader).touch()
    assert reader.read() == [b"one"]
    append(b"two\n")
    shutil.copyfile(reader.log, rotated(reader))
    if truncated:
        os.truncate(reader.log, 0)
    append(b"three\n")
    assert reader.read() == [b"two", b"three"]
    assert reader.read() == []


def test_a_copy_is_seen_before_it_is_filled_and_the_log_is_renamed_next(reader: Reader, append: Append) -> None:
    reader.log.touch()
    reader.read()
    append(b"one\n")
    rotated(reader, 2).touch()
    assert reader.read() == [b"one"]
    append(b"two\n")
    shutil.copyfile(reader.log, rotated(reader, 2))
    os.truncate(reader.log, 0)
    append(b"three\n")
    reader.log.rename(rotated(reader))
    append(b"four\n")
    assert reader.read() == [b"two", b"three", b"four"]


def test_the_log_is_truncated_after_its_copy_was_passed_over(reader: Reader, append: Append) -> None:
    """What the log was going to tell is in the copy alone by then, and the copy is older than the log's last line."""
    reader.log.touch()
    reader.read()
    append(b"old\n")
    reader.log.rename(rotated(reader, 2))
    append(b"one\n")
    shutil.copyfile(reader.log, rotated(reader))
    time.sleep(0.01)
    append(b"too late for the copy, and not read in time\n")
    reader.restart()
    reader.source.poll()
    assert reader.lines == [b"old"]
    reader.source.poll()
    assert reader.lines == [b"old"], "the copy was passed over"
    os.truncate(reader.log, 0)
    append(b"two\n")
    assert sorted(reader.read()) == [b"old", b"one", b"two"]


def test_a_copy_that_lacks_what_was_read_is_not_read_again(reader: Reader, append: Append) -> None:
    """A line that came between copy and truncation was read in time from the log itself."""
    reader.log.touch()
    reader.read()
    append(b"one\ntwo\n")
    reader.read()
    shutil.copyfile(reader.log, rotated(reader))
    append(b"three\n")
    assert reader.read() == [b"three"]
    os.utime(rotated(reader))
    os.truncate(reader.log, 0)
    append(b"new\n")
    assert reader.read() == [b"new"]


def test_a_writer_that_does_not_append_leaves_a_hole(reader: Reader) -> None:
    """OpenVPN's --log, truncated under it: NULs up to where it goes on; no line of them is handed over."""
    with reader.log.open("wb", buffering=0) as openvpn:
        reader.read()
        openvpn.write(b"x" * 5000 + b"\n")
        assert len(reader.read()) == 1
        openvpn.seek(40 * BATCH)
        openvpn.write(b"far\n")
        assert reader.read()[-1].lstrip(b"\0") == b"far"
        copy_and_truncate(reader)
        openvpn.write(b"new\n")
        assert reader.read() == [b"new"]


@pytest.mark.parametrize("style", ["server.log.1", "server.log-20261123", "server-20261123.log", "server.log.old"])
def test_rotated_while_no_follower_lives(reader: Reader, append: Append, style: str) -> None:
    """Renamed as logrotate and others do: the rest is read from the old file, and the new one whole."""
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    append(b"unread\n")
    reader.log.rename(reader.log.with_name(style))
    append(b"new\n")
    reader.restart()
    assert reader.read() == [b"unread", b"new"]
    reader.restart()
    assert reader.read() == []


def test_copied_and_truncated_while_no_follower_lives(reader: Reader, append: Append) -> None:
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    append(b"unread\n")
    copy_and_truncate(reader)
    append(b"new, and much longer than before\n")
    reader.restart()
    assert reader.read() == [b"unread", b"new, and much longer than before"]


def test_rotated_several_times_while_no_follower_lives(reader: Reader, append: Append) -> None:
    """As far back as uncompressed files lie beside the log."""
    reader.log.touch()
    reader.read()
    append(b"read\n")
    assert reader.read() == [b"read"]
    append(b"1\n")
    reader.log.rename(rotated(reader, 2))
    append(b"2\n")
    copy_and_truncate(reader)
    append(b"3\n")
    reader.restart()
    assert reader.read() == [b"1", b"2", b"3"]


def test_what_cannot_be_found_is_said(reader: Reader, append: Append, caplog: pytest.LogCaptureFixture) -> None:
    """Compressed at once: the new log is read whole, and a warning says that lines may be missing."""
    reader.log.touch()
    reader.read()
    append(b"read\n")
    reader.read()
    append(b"unread\n")
    rotated(reader).with_suffix(".1.gz").write_bytes(gzip.compress(reader.log.read_bytes()))
    reader.log.unlink()
    append(b"new\n")
    reader.restart()
    assert reader.read() == [b"new"]
    assert "lines may be missing" in caplog.text


def test_an_older_file_that_was_compressed_is_no_loss(
    reader: Reader, append: Append, caplog: pytest.LogCaptureFixture
) -> None:
    """With delaycompress, that is what happens to each."""
    reader.log.touch()
    reader.read()
    append(b"old\n")
    reader.log.rename(rotated(reader))
    append(b"new\n")
    assert reader.read() == [b"old", b"new"]
    rotated(reader).unlink()
    reader.restart()
    append(b"newer\n")
    assert reader.read() == [b"newer"]
    assert "missing" not in caplog.text


def test_few_files_are_held_open(reader: Reader, append: Append) -> None:
    """The log and two rotated ones, however often it is rotated; none that was deleted."""
    reader.log.touch()
    reader.read()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        append(b"%d\n" % number)
        reader.log.rename(rotated(reader, 100 - number))
        append(b"")
        assert reader.read() == [b"%d" % number]
    assert len(os.listdir("/proc/self/fd")) == before + 2
    for path in reader.log.parent.glob("server.log.*"):
        path.unlink()
    reader.read()
    assert len(os.listdir("/proc/self/fd")) == before
    reader.source.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_a_rewound_file_has_the_mtime_of_when_it_was_opened_by_name(reader: Reader, append: Append) -> None:
    """In between it may have been copied and truncated, and the copy is older than what it holds now."""
    append(b"one\n")
    file = OpenFile(reader.log)
    met = file.mtime()
    time.sleep(0.01)
    append(b"two\n")
    file.rewind()
    assert file.checkpoint.mtime == met < file.mtime()
    found = reconcile(reader.log, [], [file], ())
    assert found.files == [file]
    assert file.checkpoint.mtime == file.mtime()
    file.close()


# Trouble


def test_no_line_is_lost_where_no_file_can_be_opened_for_a_while(reader: Reader, append: Append) -> None:
    """The log was empty, so that its rotated files must be looked for when it has a line."""
    reader.log.touch()
    reader.read()
    append(b"one\n")
    copy_and_truncate(reader)
    append(b"two\n")
    assert with_room_for(3, reader.source.poll) is None
    assert sorted(reader.read()) == [b"one", b"two"]


def test_no_rotated_file_is_passed_over_for_want_of_room(reader: Reader, append: Append) -> None:
    """Room for one more open file at each attempt: as long as it does not do for all, none is read."""
    for number in range(4):
        append(b"%d\n" % number)
        reader.log.rename(rotated(reader, 9 - number))
        append(b"")
        if number == 0:
            reader.read()
    reader.source.close()
    reader.restart()
    attempts = 0
    while with_room_for(3 + attempts, reader.source.poll) is None:
        attempts += 1
    assert attempts >= 5
    assert reader.read() == [b"1", b"2", b"3"]


def test_a_rotation_may_take_a_while_before_a_missing_log_is_a_fault(reader: Reader, append: Append) -> None:
    append(b"")
    reader.read()
    reader.log.rename(rotated(reader))
    assert reader.read() == []
    reader.now += 6
    with pytest.raises(FileNotFoundError):
        reader.read()
    append(b"new\n")
    assert reader.read() == [b"new"]


def test_a_fault_is_counted_and_tried_again_each_second(reader: Reader, append: Append) -> None:
    for now, errors in ((0.0, 1), (0.5, 1), (1.1, 2)):
        assert not reader.source.step(now)
        assert reader.source.errors == errors
    assert "server.log: No such file or directory" in str(reader.source.fault)
    append(b"new\n")
    assert reader.source.step(2.2)
    assert reader.source.fault is None
    assert reader.lines == [b"new"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_a_fault(reader: Reader, make: Callable[[Path], None]) -> None:
    make(reader.log)
    with pytest.raises(OSError, match="not a regular file"):
        reader.read()


def test_a_sink_that_fails_is_not_given_the_same_lines_for_ever(reader: Reader, append: Append) -> None:
    reader.log.touch()
    reader.read()
    append(b"bad\n")
    kept, reader.lines = reader.lines, None  # type: ignore[assignment]  # `+=` will raise
    assert not reader.source.step(0)
    assert reader.source.errors == 1
    reader.lines = kept
    append(b"good\n")
    assert reader.read() == [b"good"]


@pytest.fixture
def backlog(reader: Reader, append: Append) -> list[bytes]:
    """Lines that take exactly four polls, and that have not been read yet."""
    append(b"")
    reader.read()
    lines = [b"%07d" % number for number in range(4 * BATCH // 8)]
    append(b"".join(line + b"\n" for line in lines))
    return lines


def test_while_there_is_more_to_read_the_position_is_saved_ten_times_a_second(
    reader: Reader, backlog: list[bytes]
) -> None:
    reader.source.poll()
    reader.now += 0.09
    reader.source.poll()
    assert len(reader.lines) == len(backlog) / 2
    reader.lines = []
    reader.restart()
    reader.source.poll()
    assert reader.lines == backlog[: len(backlog) // 4], "nothing had been saved"
    reader.now += 0.1
    reader.source.poll()
    reader.lines = []
    reader.restart()
    assert reader.read() == backlog[len(backlog) // 2 :]


def test_the_position_is_saved_at_the_end_of_the_log(reader: Reader, backlog: list[bytes]) -> None:
    assert reader.read() == backlog
    reader.restart()
    assert reader.read() == []


def test_the_position_is_saved_at_the_stop(reader: Reader, backlog: list[bytes]) -> None:
    reader.source.poll()
    reader.source.close()
    reader.lines = []
    reader.restart()
    assert reader.read() == backlog[len(backlog) // 4 :]


def test_without_a_state_folder_a_restart_begins_at_the_end(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "server.log", None)
    reader.log.write_bytes(b"")
    reader.read()
    reader.log.write_bytes(b"one\n")
    reader.restart()
    assert reader.read() == []


@pytest.mark.parametrize("saved", [b"", b"{", b"7", b"[[1]]", b'[[1, 2, 3, "a", "b", 4, false]]', b"\xff", b'["x"]'])
def test_a_spoilt_position_is_as_none(reader: Reader, append: Append, tmp_path: Path, saved: bytes) -> None:
    append(b"old\n")
    reader.read()
    (state,) = (tmp_path / "state").iterdir()
    state.write_bytes(saved)
    reader.restart()
    assert reader.read() == []
    append(b"new\n")
    assert reader.read() == [b"new"]
