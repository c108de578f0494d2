"""Lines of a unit of a real journal: each once, over restarts of the follower and of journald."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.follow.base import BATCH
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.journal import FollowedUnit, line_of
from exporter.follow.positions import Positions
from tests.support.journald import Journald, journald
from tests.support.openvpn import wait_until

UNIT = "openvpn-server@server.service"
PROGRAM = Path("/proc/self/comm").read_text().strip()  # as journald will know this process


@pytest.fixture(scope="module")
def journal() -> Iterator[Journald]:
    with journald() as daemon:
        yield daemon


def follows(source: FollowedUnit) -> bool:
    """Poll once, and return whether journalctl has been told where to begin."""
    source.poll()
    return source._cursor is not None and source._child is not None  # noqa: SLF001  # there is nothing to see of it


class Unit:
    """Follows a unit, and keeps the lines that it is handed."""

    def __init__(self, journal: Journald, state: Path | None, unit: str = UNIT) -> None:
        self.lines: list[bytes] = []
        self.others: list[bytes] = []
        self._positions = Positions(state)
        self._command = journal.inside("journalctl")
        self._unit = unit
        self.begin()

    def begin(self) -> None:
        """As a new process would; it knows its place when this returns."""
        own, others = self._sink("lines"), self._sink("others")
        self.source = FollowedUnit(self._unit, PROGRAM, own, others, self._positions, self._command)
        wait_until(lambda: follows(self.source), "journalctl follows")

    def _sink(self, name: str) -> Callable[[bytes], None]:
        return lambda batch: getattr(self, name).extend(batch[:-1].split(b"\n"))

    def wait_for(self, count: int) -> list[bytes]:
        """Poll until there are so many lines; all lines since the last call."""

        def enough() -> bool:
            while self.source.poll():
                pass
            return len(self.lines) >= count

        wait_until(enough, f"{count} lines of the unit")
        lines, self.lines = self.lines, []
        return lines


def kill_child(source: FollowedUnit) -> None:
    """End the journalctl that is running, as the kernel might."""
    child = source._child  # noqa: SLF001  # the one thing that has to be killed
    assert child
    os.kill(child.pid, signal.SIGKILL)


@pytest.fixture
def unit(journal: Journald, tmp_path: Path) -> Iterator[Unit]:
    follower = Unit(journal, tmp_path / "state")
    yield follower
    follower.source.close()


@pytest.fixture
def stream(journal: Journald) -> Iterator[socket.socket]:
    with journal.stream(UNIT) as connection:
        yield connection


def test_lines_from_now_on_and_over_a_restart(unit: Unit, stream: socket.socket) -> None:
    stream.sendall(b"one\ntwo\n")
    assert unit.wait_for(2) == [b"one", b"two"]
    unit.source.close()
    stream.sendall(b"three\n")
    unit.begin()
    stream.sendall(b"four\n")
    assert unit.wait_for(2) == [b"three", b"four"]


def test_restarted_before_the_first_line(unit: Unit, stream: socket.socket) -> None:
    """The place is remembered before there is a line of the unit."""
    unit.source.close()
    stream.sendall(b"while nobody looked\n")
    unit.begin()
    assert unit.wait_for(1) == [b"while nobody looked"]


def test_without_a_state_folder_it_begins_at_the_end(journal: Journald, stream: socket.socket) -> None:
    first = Unit(journal, None)
    stream.sendall(b"before\n")
    first.wait_for(1)
    first.source.close()
    second = Unit(journal, None)
    stream.sendall(b"after\n")
    assert second.wait_for(1) == [b"after"]
    second.source.close()


def test_only_this_unit(journal: Journald, unit: Unit) -> None:
    """Each line from a process of its own, as journald attributes them."""
    for name in ("other.service", UNIT, "openvpn-server@other.service"):
        with journal.stream(name) as connection:
            subprocess.run(["sh", "-c", f"echo {name}"], stdout=connection.fileno(), check=True)
    with journal.stream(UNIT) as connection:
        connection.sendall(b"end\n")
    wait_until(lambda: not unit.source.poll() and b"end" in unit.lines, "the last line")
    assert sorted(unit.lines + unit.others) == [b"end", UNIT.encode()]  # a program as short-lived may have no name


def test_what_scripts_print_is_told_apart(unit: Unit, stream: socket.socket) -> None:
    """By the program's name that journald recorded."""
    stream.sendall(b"mine\n")
    subprocess.run(["sh", "-c", "echo of a script; sleep 1"], stdout=stream.fileno(), check=True)
    stream.sendall(b"mine again\n")
    assert unit.wait_for(2) == [b"mine", b"mine again"]
    assert unit.others == [b"of a script"]


def test_odd_lines(unit: Unit, stream: socket.socket) -> None:
    """Bytes that are not UTF-8, and a line longer than what journalctl shows by default."""
    long = b"y" * 40_000
    stream.sendall(b"\xff\xfe\n" + long + b"\n")
    assert unit.wait_for(2) == [b"\xff\xfe", long]


def test_journald_may_be_restarted(journal: Journald, unit: Unit) -> None:
    with journal.stream(UNIT) as connection:
        connection.sendall(b"before\n")
        assert unit.wait_for(1) == [b"before"]
    journal.stop()
    journal.start()
    with journal.stream(UNIT) as connection:
        connection.sendall(b"after\n")
        assert unit.wait_for(1) == [b"after"]


def test_a_child_that_dies_is_a_fault_and_started_again(unit: Unit, stream: socket.socket) -> None:
    """Nothing is lost in between."""
    stream.sendall(b"one\n")
    assert unit.wait_for(1) == [b"one"]
    kill_child(unit.source)
    stream.sendall(b"two\n")
    wait_until(lambda: not unit.source.step(0) and unit.source.fault is not None, "the death is noticed")
    assert unit.source.fault == "journalctl ended: status -9"
    assert unit.source.errors == 1
    assert not unit.source.step(0.5)
    assert unit.source.errors == 1
    wait_until(lambda: unit.source.step(2), "the next child reads")
    assert unit.wait_for(1) == [b"two"]


def test_no_journalctl(tmp_path: Path) -> None:
    """It may be missing, or say no."""
    missing = FollowedUnit(UNIT, "x", print, print, Positions(None), [str(tmp_path / "journalctl")])
    assert not missing.step(0)
    assert missing.fault == f"cannot read {tmp_path / 'journalctl'}: No such file or directory"
    refusing = FollowedUnit(
        UNIT, "x", print, print, Positions(None), ["sh", "-c", "echo No journal files were opened >&2; exit 1"]
    )
    wait_until(lambda: not refusing.step(0) and refusing.fault is not None, "it says no")
    assert refusing.fault == "journalctl failed: No journal files were opened"


def test_an_entry_too_long_is_one_line(tmp_path: Path) -> None:
    """Memory is bounded; what comes after is read. The real journald cuts lines long before."""
    entries = tmp_path / "entries"
    huge = json.dumps({"MESSAGE": "z" * 5_000_000, "__CURSOR": "1"})
    entries.write_text(huge + "\n" + json.dumps({"MESSAGE": "next", "__CURSOR": "2"}) + "\n")
    lines: list[bytes] = []
    fake = ["sh", "-c", f'case "$*" in *--follow*) cat {entries}; exec sleep 60;; esac', "sh"]
    source = FollowedUnit(UNIT, "x", lines.append, lines.append, Positions(tmp_path / "state"), fake)
    wait_until(lambda: bool(source.poll() and lines and lines[-1].endswith(b"next\n")), "both are read")
    source.close()
    assert b"".join(lines) == b"\nnext\n"
    (saved,) = (tmp_path / "state").iterdir()
    assert json.loads(saved.read_bytes()) == {"cursor": "2"}


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("text", b"text"),
        ("two\nlines", b"two lines"),
        ([255, 254], b"\xff\xfe"),
        (["one", "two"], b"one two"),
        (["one", [255]], b"one \xff"),
        (None, b""),
        ("", b""),
        ("\ud800", b"?"),
        ("é" * BATCH, "é".encode() * (BATCH // 2)),
    ],
)
def test_the_forms_of_a_message(message: object, line: bytes) -> None:
    """An entry is one line, whatever is in it."""
    assert line_of({"MESSAGE": message}) == line + b"\n"


def test_an_exporter_that_is_killed_leaves_no_child(journal: Journald, tmp_path: Path) -> None:
    """A journalctl ends when nobody reads it any more."""
    pids = tmp_path / "pids"
    code = (
        "import sys, time\n"
        "from exporter.follow.journal import FollowedUnit\n"
        "from exporter.follow.positions import Positions\n"
        f"source = FollowedUnit({UNIT!r}, 'x', print, print, Positions(None), {journal.inside('journalctl')!r})\n"
        "while source.poll() is not False: time.sleep(0.01)\n"
        f"open({str(pids)!r} + '.new', 'w').write(str(source._child.pid))\n"
        f"import os; os.rename({str(pids)!r} + '.new', {str(pids)!r})\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    wait_until(pids.exists, "the child is started")
    child = Path("/proc") / pids.read_text()
    wait_until(lambda: b"journalctl" in (child / "cmdline").read_bytes().split(b"\0")[0], "it is journalctl")
    process.kill()
    process.wait()
    wait_until(lambda: not child.exists() or "\tZ" in (child / "status").read_text(), "journalctl ends")


# Trouble


def fake_journalctl(follow: str) -> list[str]:
    """A journalctl that finds the journal's end, and follows it as a shell script does."""
    return ["sh", "-c", f'case "$*" in *--follow*) {follow};; *) echo "-- cursor: c0";; esac', "sh"]


def entry(number: int) -> str:
    return json.dumps({"MESSAGE": f"line {number}", "__CURSOR": f"c{number}"})


def faults(source: FollowedUnit, seconds: float) -> list[str | None]:
    """What the source says of itself after each of many steps, from its first failure on."""
    seen: list[str | None] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        source.step(time.monotonic())
        if seen or source.fault:
            seen.append(source.fault)
        time.sleep(0.02)
    return seen


def test_a_journal_that_can_never_be_read_is_a_fault_all_the_time(journal: Journald, tmp_path: Path) -> None:
    """Remembered by a user who could read it, and followed by one who cannot."""
    Positions(tmp_path).save(UNIT, {"cursor": ""})
    command = journal.inside("setpriv", "--reuid=65534", "--clear-groups", "journalctl")
    source = FollowedUnit(UNIT, PROGRAM, print, print, Positions(tmp_path), command)
    assert set(faults(source, 4)) == {"journalctl ended: No journal files were opened due to insufficient permissions."}
    assert source.errors >= 3
    source.close()


def test_a_journalctl_that_finds_the_end_and_never_follows(tmp_path: Path) -> None:
    source = FollowedUnit(UNIT, "x", print, print, Positions(tmp_path), fake_journalctl("echo no >&2; exit 1"))
    assert set(faults(source, 3)) == {"journalctl ended: no"}
    source.close()


def test_a_fault_is_over_when_journalctl_has_followed_an_idle_unit_for_a_while(tmp_path: Path) -> None:
    """It says nothing then, so only the time shows that it did not fail."""
    broken = tmp_path / "broken"
    broken.touch()
    command = fake_journalctl(f"test ! -e {broken} || exit 1; exec sleep 60")
    now = 0.0
    source = FollowedUnit(UNIT, "x", print, print, Positions(None), command, lambda: now)
    wait_until(lambda: not source.step(now) and source.fault is not None, "it fails")
    broken.unlink()
    now = 2.0
    source.step(now)
    for now in (3.0, 6.9):
        source.step(now)
        assert source.fault == "journalctl ended: status 1"
    now = 7.1
    source.step(now)
    assert source.fault is None
    source.close()


def test_a_spoilt_cursor_heals(
    journal: Journald, stream: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Positions(tmp_path).save(UNIT, {"cursor": "garbage"})
    lines: list[bytes] = []
    source = FollowedUnit(UNIT, PROGRAM, lines.append, print, Positions(tmp_path), journal.inside("journalctl"))
    wait_until(lambda: not source.step(0) and source.fault is not None, "journalctl refuses it")
    assert source.fault == "journalctl ended: Failed to seek to cursor: Invalid argument"
    assert "lines may be missing" in caplog.text
    wait_until(lambda: source.step(2) and source.fault is None, "the journal's end is found")
    stream.sendall(b"next\n")
    wait_until(lambda: source.step(2) and b"next\n" in lines, "the next line is read")
    assert source.errors == 1
    source.close()


def test_without_a_state_folder_the_cursor_is_kept_while_the_process_lives(
    journal: Journald, stream: socket.socket
) -> None:
    unit = Unit(journal, None)
    stream.sendall(b"one\n")
    assert unit.wait_for(1) == [b"one"]
    kill_child(unit.source)
    stream.sendall(b"two\n")
    wait_until(lambda: not unit.source.step(0) and unit.source.fault is not None, "the death is noticed")
    wait_until(lambda: unit.source.step(2), "the next child reads")
    assert unit.wait_for(1) == [b"two"]
    unit.source.close()


def test_a_journalctl_that_floods_standard_error_is_read_all_the_same(tmp_path: Path) -> None:
    flood = "head -c 2000000 /dev/zero | tr '\\0' '\\n' >&2"
    lines: list[bytes] = []
    command = fake_journalctl(f"{flood}; echo '{entry(1)}'; {flood}; echo '{entry(2)}'; echo why >&2; exit 3")
    source = FollowedUnit(UNIT, "x", lines.append, print, Positions(tmp_path), command)
    wait_until(lambda: not source.step(0) and source.fault is not None, "all is read")
    assert b"".join(lines) == b"line 1\nline 2\n"
    assert source.fault == "journalctl ended: why"


def test_a_journalctl_that_hangs_before_the_end_is_found(tmp_path: Path) -> None:
    """It is ended after a while, and no poll waits for it."""
    now = 0.0
    source = FollowedUnit(UNIT, "x", print, print, Positions(tmp_path), ["sh", "-c", "exec sleep 60"], lambda: now)
    begin = time.monotonic()
    assert source.poll() is None
    now = 31.0
    source.step(now)
    assert source.fault == "journalctl has not found the journal's end in 30 seconds"
    assert time.monotonic() - begin < 2


def test_a_stopped_journalctl_delays_neither_a_log_nor_the_stop(journal: Journald, tmp_path: Path) -> None:
    """The real one, stopped by a signal, as on a file system that hangs."""
    unit = FollowedUnit(UNIT, PROGRAM, print, print, Positions(tmp_path), journal.inside("journalctl"))
    wait_until(lambda: follows(unit), "journalctl follows")
    child = unit._child  # noqa: SLF001  # the one thing that has to be stopped
    assert child
    os.kill(child.pid, signal.SIGSTOP)
    log, lines = tmp_path / "server.log", list[bytes]()
    log.touch()
    file = FollowedFile(log, lines.append, Positions(tmp_path))
    follower = Follower()
    follower.add(unit)
    follower.add(file)
    wait_until(lambda: len(list(tmp_path.glob("*server.log*.json"))) == 1, "the log is followed")
    with log.open("ab") as writer:
        writer.write(b"one\n")
    wait_until(lambda: lines == [b"one\n"], "its line is read", 3)
    begin = time.monotonic()
    follower.stop()
    assert time.monotonic() - begin < 1
    assert not Path(f"/proc/{child.pid}").exists()


def test_descriptors_beyond_1023(journal: Journald, stream: socket.socket, tmp_path: Path) -> None:
    """A process with many rotated logs or connections has them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), max(hard, 2048)))
    held = [os.dup(0) for _ in range(1100)]
    try:
        unit = Unit(journal, tmp_path)
        stream.sendall(b"one\n")
        assert unit.wait_for(1) == [b"one"]
        unit.source.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
