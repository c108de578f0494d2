"""Polls of a management interface that answers, and how the poller goes about them."""

import contextlib
import itertools
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.clients import ClientRow
from exporter.openvpn.management import LoadStats
from exporter.probes.poller import Poller, PollResult, ServerState
from tests.support.fake import ALLOWED, BANNER, PROC, REPLIES, Fake, Peer, answer, poll, say, server, silent
from tests.support.openvpn import wait_until


def test_a_proper_answer(address: UnixAddress) -> None:
    before = time.time()
    with Fake(address, answer) as fake:
        poller, result = poll(server(address))
    assert poller.state == ServerState(True, LoadStats(3, 100, 200), "2.6.14", 3, 0)
    assert poller.last_reply is not None
    assert before <= poller.last_reply <= time.time()
    assert result.commands == len(fake.record) == 4
    assert result.failure is None
    assert result.delay is not None
    assert result.delay > 0
    assert poller.pending() == 0


def test_it_never_sends_anything_else(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poll(server(address, per_client=True), times=3)
    assert set(fake.record) == ALLOWED


def test_details_are_asked_once_in_a_while_and_kept(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poller, result = poll(server(address), times=5)
    assert fake.record.count(b"load-stats") == 5
    assert fake.record.count(b"version") == fake.record.count(b"verb") == fake.record.count(b"mute") == 1
    assert result.commands == 1
    assert poller.state == ServerState(True, LoadStats(3, 100, 200), "2.6.14", 3, 0)


def test_details_are_asked_again_after_a_failure(address: UnixAddress) -> None:
    """The server may have been started anew, as another version."""
    results: list[PollResult] = []
    poller = Poller(server(address), PROC, results.append)
    with Fake(address, answer):
        poller.poll()
    poller.poll()
    assert poller.state == ServerState(up=False)
    Path(address.path).unlink()
    with Fake(address, answer) as fake:
        poller.poll()
    assert [result.failure for result in results] == [None, "refused", None]
    assert b"version" in fake.record


def test_clients_are_asked_for_only_on_request(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poller, _ = poll(server(address), times=2)
        assert b"status 3" not in fake.record
        assert poller.state is not None
        assert poller.state.clients == ()
        poller, _ = poll(server(address, per_client=True), times=2)
    assert poller.state is not None
    assert poller.state.clients == (ClientRow("alice", 0, 0, 1),)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_tcp(host: str) -> None:
    """The name localhost is two addresses on most hosts, and OpenVPN listens on one of them."""
    with Fake(TcpAddress("127.0.0.1" if host == "localhost" else host, 0), answer) as fake:
        assert isinstance(fake.address, TcpAddress)
        poller, result = poll(server(TcpAddress(host, fake.address.port)))
    assert result.failure is None
    assert poller.state is not None
    assert poller.state.stats == LoadStats(3, 100, 200)


def test_pending_grows_while_an_answer_is_waited_for(address: UnixAddress) -> None:
    go_on = threading.Event()

    def late(peer: Peer) -> None:
        peer.send(BANNER)
        peer.line()
        go_on.wait(30)
        peer.send(REPLIES[b"load-stats"])
        peer.wait_for_end()

    results: list[PollResult] = []
    poller = Poller(server(address, management_timeout=0.5), PROC, results.append)
    patient = Poller(server(address), PROC, results.append)
    with Fake(address, late):
        assert patient.pending() == 0
        thread = threading.Thread(target=patient.poll)
        thread.start()
        wait_until(lambda: patient.pending() > 0.3, "pending grows")
        go_on.set()
        patient.stop(5.0)
        thread.join()
    assert patient.pending() == poller.pending() == 0
    assert patient.last_reply is not None


class Threaded:
    """A management interface that serves each connection in a thread of its own, and keeps the times of each."""

    def __init__(self, address: UnixAddress, takes: float) -> None:
        self.times: list[tuple[float, float]] = []  # first byte sent, peer gone; in the order of the ends
        self._takes = takes
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address.path)
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        started = time.monotonic()
        with connection, contextlib.suppress(OSError):
            time.sleep(self._takes)
            answer(Peer(connection, []))
        self.times.append((started, time.monotonic()))

    def at_once(self) -> int:
        """Return the most connections that were open at the same moment."""
        moments = sorted([(start, 1) for start, _ in self.times] + [(end, -1) for _, end in self.times])
        return max(itertools.accumulate(change for _, change in moments))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def polled(address: UnixAddress, pollers: int, *, takes: float, interval: float, polls: int) -> Threaded:
    """Return what an interface saw of so many pollers, after so many polls in all."""
    interface = Threaded(address, takes)
    configured = server(address, management_interval=interval)
    running = [Poller(configured, PROC, lambda _result: None) for _ in range(pollers)]
    for poller in running:
        poller.start()
    wait_until(lambda: len(interface.times) >= polls, f"{polls} polls")
    for poller in running:
        poller.stop(5.0)
    interface.close()
    return interface


def test_never_two_polls_at_once(address: UnixAddress) -> None:
    """Though each takes twenty times the interval. Four pollers together do overlap, which the interface notices."""
    assert polled(address, 1, takes=0.2, interval=0.01, polls=5).at_once() == 1
    Path(address.path).unlink()
    assert polled(address, 4, takes=0.2, interval=0.01, polls=8).at_once() > 1


def test_the_interval_is_kept(address: UnixAddress) -> None:
    """From start to start, not from end to start: a poll's own time does not stretch it."""
    starts = [start for start, _ in polled(address, 1, takes=0.1, interval=0.4, polls=5).times]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert min(gaps) > 0.35
    assert sorted(gaps)[len(gaps) // 2] < 0.5


def test_a_poll_that_breaks_is_reported_and_polling_goes_on(address: UnixAddress) -> None:
    """An error that nobody foresaw: the server is down as far as is known, and the poller says why."""
    broken = threading.Event()
    broken.set()

    def report(_result: PollResult) -> None:
        if broken.is_set():
            raise RuntimeError("odd")

    poller = Poller(server(address, management_interval=0.05), PROC, report)
    with Fake(address, answer):
        poller.start()
        wait_until(lambda: poller.fault is not None, "the fault is noticed")
        assert "odd" in str(poller.fault)
        assert poller.state == ServerState(up=False)
        broken.clear()
        wait_until(lambda: poller.fault is None, "it recovers")
        poller.stop(5.0)


def test_stopping_gives_up_a_poll_under_way(address: UnixAddress) -> None:
    results: list[PollResult] = []
    poller = Poller(server(address, management_timeout=3600.0), PROC, results.append)
    with silent(Path(address.path), 8):
        poller.start()
        wait_until(lambda: poller.pending() > 0, "a poll is under way")
        poller.stop(5.0)
    names = [thread.name for thread in threading.enumerate()]
    assert "management s" not in names
    assert results == [PollResult(0, None, None)], "a poll that was given up is no failure"


def test_no_descriptor_stays_open(address: UnixAddress) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    for behaviour in (answer, say(b""), say(b"nonsense\r\n")):
        with Fake(address, behaviour):
            before = descriptors()
            poll(server(address), times=5)
            wait_until(
                lambda before=before: descriptors() <= before,  # type: ignore[misc]  # mypy on defaults
                "all connections are closed",
            )
        Path(address.path).unlink()


def test_one_log_line_a_condition(address: UnixAddress, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    results: list[PollResult] = []
    poller = Poller(server(address), PROC, results.append)
    for _ in range(3):
        poller.poll()
    with Fake(address, answer):
        for _ in range(3):
            poller.poll()
    what = "the management interface of server s"
    assert [record.getMessage() for record in caplog.records] == [
        f"{what} gives no answer (refused): cannot connect to it: No such file or directory",
        f"{what} answers again",
    ]
