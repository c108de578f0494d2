"""What systemd is told, and the sockets that it hands over."""

import contextlib
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from exporter.errors import BadInputError
from exporter.exposition.families import Metric
from exporter.exposition.pages import Gathered, Query
from exporter.web.selfscrape import scrape
from exporter.web.systemd import activated_listeners
from tests.support.needs import need
from tests.support.program import Program, running
from tests.support.prometheus import free_port
from tests.support.web import serving
from tests.web.conftest import hashed

FEW = ("--collector.disable-defaults", "--collector.limits")


class Manager:
    """The receiving end of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def next(self) -> dict[str, str]:
        """One message, as its assignments."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def next_with(self, key: str) -> dict[str, str]:
        while key not in (message := self.next()):
            pass
        return message

    def hears_nothing_for(self, seconds: float) -> bool:
        """Once what has come already is read."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)
        return not select.select([self._socket], [], [], seconds)[0]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_start_reload_and_stop_are_told(manager: Manager) -> None:
    """READY when it serves, RELOADING with the clock's time and READY again, STOPPING."""
    with running(*FEW, env={"NOTIFY_SOCKET": str(manager.path)}) as program:
        assert manager.next()["READY"] == "1"
        assert program.page()
        before = time.monotonic_ns() // 1000
        program.process.send_signal(signal.SIGHUP)
        told = manager.next()
        assert told["RELOADING"] == "1"
        assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.next()["READY"] == "1"
        assert program.stop() == 0
        assert manager.next() == {"STOPPING": "1"}


def test_the_watchdog_is_told_of_scrapes_that_work(manager: Manager, tmp_path: Path) -> None:
    """Through TLS or a password it needs no secret; these scrapes are not counted."""
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{ann: {hashed('secret')}}}\n")
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "2000000"}
    with running(*FEW, f"--web.config.file={config}", env=env) as program:
        for _ in range(3):
            assert manager.next_with("WATCHDOG") == {"WATCHDOG": "1"}
        page = requests.get(f"{program.url}/metrics", auth=("ann", "secret"), timeout=10).text
        assert '\npromhttp_metric_handler_requests_total{code="200"} 0.0\n' in page
        program.process.send_signal(signal.SIGSTOP)  # nothing works any more
        time.sleep(0.2)
        assert manager.hears_nothing_for(1.5)
        program.process.send_signal(signal.SIGCONT)


def test_a_watchdog_of_another_process_is_not_ours(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    with running(*FEW, env=env) as program:
        assert manager.next()["READY"] == "1"
        time.sleep(0.5)
        assert program.stop() == 0
        assert manager.next() == {"STOPPING": "1"}


def test_a_scrape_that_does_not_work_is_known() -> None:
    """The page cannot be made, or takes too long; in the end all is well again."""
    moods: list[float] = []

    def gather(_query: Query) -> Gathered:
        if moods:
            time.sleep(moods.pop())
            raise RuntimeError("no")
        return [Metric("one", "gauge", "One.").family([1])]

    with serving(gather) as site:
        assert scrape(site.server.connect, "/metrics", 5)
        assert not scrape(site.server.connect, "/elsewhere", 5)
        moods.append(0)
        assert not scrape(site.server.connect, "/metrics", 5)
        moods.append(0.5)
        assert not scrape(site.server.connect, "/metrics", 0.1)
        assert scrape(site.server.connect, "/metrics", 5)


def test_sockets_of_systemd() -> None:
    """Bound before the exporter starts; the real tool hands them over."""
    need("systemd-socket-activate")
    port = free_port()
    process = subprocess.Popen(
        ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", sys.executable, "-m", "exporter",
         "--web.systemd-socket", *FEW],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    program = Program(process)
    try:
        deadline = time.monotonic() + 20
        while "Listening on" not in "".join(program.log):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).status_code == 200
        assert program.addresses() == [f"127.0.0.1:{port}"]
        assert program.stop() == 0
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def test_no_socket_of_systemd() -> None:
    """Or one that was meant for another process: a sentence that says what to do, and the environment is clean."""
    for environ in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}):
        with pytest.raises(BadInputError, match="systemd has handed over no socket"):
            activated_listeners(environ)
        assert environ == {}
    with running("--web.systemd-socket") as program:
        assert program.process.wait(20) == 2
        program.stop()
        assert "systemd has handed over no socket" in program.log[-1]
