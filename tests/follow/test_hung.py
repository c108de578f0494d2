"""A file system that hangs: a real one, over FUSE, whose server is stopped."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.needs import missing, need, need_root
from tests.support.openvpn import wait_until
from tests.support.program import Program, running

SERVER = "/usr/lib/openssh/sftp-server"


class Mount:
    """A folder of this machine, mounted by sshfs through an SFTP server that can be stopped."""

    def __init__(self, folder: Path) -> None:
        self.source, self.path = folder / "source", folder / "mounted"
        self.source.mkdir()
        self.path.mkdir()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._server = subprocess.Popen([SERVER], stdin=theirs.fileno(), stdout=theirs.fileno())
            self._sshfs = subprocess.Popen(
                ["sshfs", "-f", "-o", "passive,dir_cache=no,direct_io", f":{self.source}", self.path],
                stdin=ours.fileno(),
                stdout=ours.fileno(),
            )
        wait_until(self.path.is_mount, "it is mounted")

    def hang(self) -> None:
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.go_on()
        subprocess.run(["umount", "--lazy", self.path], check=True)
        for process in (self._sshfs, self._server):
            process.terminate()
            process.wait()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    need_root()
    need("sshfs")
    if not Path(SERVER).exists() or not os.access("/dev/fuse", os.W_OK):
        missing("openssh-sftp-server or /dev/fuse is missing; run as root: make tools")
    mounted = Mount(tmp_path)
    try:
        yield mounted
    finally:
        mounted.close()


@contextmanager
def going_on(mount: Mount) -> Iterator[None]:
    """Let the file system answer at the end of the block, or the process could not be ended."""
    try:
        yield
    finally:
        mount.go_on()


@pytest.fixture
def program(mount: Mount, tmp_path: Path) -> Iterator[Program]:
    """Two servers: the log and the hook record of `far` are on the mounted file system, the log of `near` is not."""
    (mount.source / "far.log").touch()
    (mount.source / "hooks.jsonl").touch()
    (tmp_path / "near.log").touch()
    config, state = tmp_path / "config.yml", tmp_path / "state"
    far = {"name": "far", "log": str(mount.path / "far.log"), "hooks": str(mount.path / "hooks.jsonl")}
    config.write_text(json.dumps({"servers": [far, {"name": "near", "log": str(tmp_path / "near.log")}]}))
    flags = ("--collector.disable-defaults", "--collector.log", "--collector.hooks", f"--state.directory={state}")
    with running(f"--config.file={config}", *flags) as program, going_on(mount):
        wait_until(lambda: state.exists() and len(list(state.glob("*.json"))) >= 3, "all files are looked at")
        yield program


def lines(program: Program, server: str) -> float | None:
    return program.value("openvpn_log_lines_total", server=server)


def success(program: Program, collector: str) -> float | None:
    return program.value("openvpn_mq_scrape_collector_success", collector=collector)


def has_ended(pid: int) -> bool:
    """Return whether it has ended, but for the thread that the kernel keeps until the file system answers."""
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def append(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"a line\n")


def test_a_file_system_that_hangs_delays_no_other_log_no_scrape_and_no_stop(
    program: Program, mount: Mount, tmp_path: Path
) -> None:
    append(mount.source / "far.log")
    wait_until(lambda: lines(program, "far") == 1, "a line over the network is counted")
    mount.hang()
    time.sleep(1)  # a poll hangs by now
    append(tmp_path / "near.log")
    wait_until(lambda: lines(program, "near") == 1, "the other log is followed", 3)
    begin = time.monotonic()
    program.page()
    assert time.monotonic() - begin < 1
    program.process.terminate()
    wait_until(lambda: has_ended(program.process.pid), "it stops", 3.5)
    mount.go_on()
    assert program.process.wait(timeout=10) in (0, -signal.SIGALRM)


@pytest.mark.slow  # ten seconds until it is one
def test_a_file_system_that_hangs_is_a_failure_and_nothing_is_lost_or_doubled(
    program: Program, mount: Mount, tmp_path: Path
) -> None:
    wait_until(lambda: success(program, "log") == success(program, "hooks") == 1, "all is well")
    mount.hang()
    append(tmp_path / "near.log")
    append(mount.source / "far.log")
    wait_until(lambda: success(program, "log") == success(program, "hooks") == 0, "it is a failure", 15)
    assert any("server far: a read has not returned for" in line for line in program.log)
    append(mount.source / "far.log")
    mount.go_on()
    wait_until(lambda: success(program, "log") == success(program, "hooks") == 1, "it is over")
    wait_until(lambda: lines(program, "far") == 2, "its lines are counted")
    time.sleep(1)
    assert (lines(program, "far"), lines(program, "near")) == (2, 1)
