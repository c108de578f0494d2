"""A script that runs, as the hook record has it, tells a blocked OpenVPN from a busy one."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.config.model import UnixAddress
from exporter.probes.poller import Poller, PollResult
from exporter.probes.scripts import running_script
from tests.support.fake import SHORT, server, silent
from tests.support.openvpn import wait_until

PROC = Path("/proc")


def line(event: str, pid: int, ticks: int, name: str = "s") -> str:
    end = ',"result":"ok"' if event == "end" else ""
    return (
        f'{{"time":1,"event":"{event}","server":"{name}","hook":"client-connect",'
        f'"pid":{pid},"pid_start_ticks":{ticks}{end}}}\n'
    )


def ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["start"], "client-connect"),
        (["start", "end"], None),
        (["start", "end", "start"], "client-connect"),
        ([], None),
    ],
)
def test_begun_and_not_ended(tmp_path: Path, written: list[str], expected: str | None) -> None:
    """By this very process, which certainly runs."""
    record = tmp_path / "hooks.jsonl"
    record.write_text("".join(line(event, os.getpid(), ticks(os.getpid())) for event in written))
    assert running_script(record, "s", PROC) == expected


def test_a_process_that_is_gone_or_another_one_does_not_run(tmp_path: Path) -> None:
    record = tmp_path / "hooks.jsonl"
    record.write_text(line("start", os.getpid(), ticks(os.getpid()) + 1) + line("start", 1 << 22, 5))
    assert running_script(record, "s", PROC) is None


def test_a_shared_record(tmp_path: Path) -> None:
    """Another server's script is not this one's."""
    record = tmp_path / "hooks.jsonl"
    record.write_text(line("start", 1 << 22, 5, "s") + line("start", os.getpid(), ticks(os.getpid()), "other"))
    assert running_script(record, "s", PROC) is None
    assert running_script(record, "other", PROC) == "client-connect"


def test_a_shared_record_that_has_only_the_other_servers_lines(tmp_path: Path, address: UnixAddress) -> None:
    """Who shares a record is known from the configuration, not from what is in the record."""
    record = tmp_path / "hooks.jsonl"
    record.write_text(line("start", os.getpid(), ticks(os.getpid()), "other"))
    assert running_script(record, "s", PROC) is None
    assert reason(address, record, shares_record=True) == "busy"
    assert reason(address, record, shares_record=False) == "timeout"


def test_a_record_of_one_servers_own(tmp_path: Path) -> None:
    """All lines are that server's, whatever the hook calls it."""
    record = tmp_path / "hooks.jsonl"
    record.write_text(line("start", os.getpid(), ticks(os.getpid()), "another name"))
    assert running_script(record, None, PROC) == "client-connect"


def test_no_record(tmp_path: Path) -> None:
    assert running_script(tmp_path / "missing", "s", PROC) is None


def test_a_pipe_in_place_of_the_record_is_not_waited_for(tmp_path: Path) -> None:
    """In a thread, as a wait for it has no end."""
    record = tmp_path / "pipe"
    os.mkfifo(record)
    found: list[object] = []
    looking = threading.Thread(target=lambda: found.append(running_script(record, "s", PROC)), daemon=True)
    looking.start()
    looking.join(10)
    assert found == [None]


def test_a_real_hook_tells_blocked_from_busy(tmp_path: Path, address: UnixAddress) -> None:
    """Where the sockets cannot be seen: while the hook's script runs, silence is a timeout; once it ended, busy."""
    record = tmp_path / "hooks.jsonl"
    hook = Path(sys.executable).with_name("openvpn-mq-hook")
    # Its script is `cat`, which runs until its input ends.
    with subprocess.Popen(
        [hook, "--server", "s", "--record", record, "--", "/bin/cat"],
        stdin=subprocess.PIPE,
        env={"script_type": "client-connect"},
    ) as running:
        wait_until(lambda: record.exists() and b'"start"' in record.read_bytes(), "the script runs")
        assert running_script(record, "s", PROC) == "client-connect"
        assert reason(address, record) == "timeout"
        assert running.stdin
        running.stdin.close()
        assert running.wait(30) == 0
    assert reason(address, record) == "busy"


def reason(address: UnixAddress, record: Path, *, shares_record: bool = False) -> str | None:
    """Of a poll that is not greeted, where nothing but the record can tell why."""
    results: list[PollResult] = []
    procfs = record.parent / "proc"
    if not procfs.exists():
        procfs.mkdir()
        for process in Path("/proc").glob("[0-9]*"):
            (procfs / process.name).symlink_to(process)
    Path(address.path).unlink(missing_ok=True)
    with silent(Path(address.path), 8):
        poller = Poller(server(address, management_timeout=SHORT, hooks=record), procfs, results.append)
        poller.shares_record = shares_record
        poller.poll()
    (result,) = results
    return result.failure
