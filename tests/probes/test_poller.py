"""Polls of a management interface that answers, and how the poller goes about them."""

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.clients import ClientRow
from exporter.openvpn.management import LoadStats
from exporter.probes.poller import Known, Outcome, Poller
from tests.support.fake import ALLOWED, BANNER, PROC, REPLIES, Fake, Peer, answer, poll, say, server, silent
from tests.support.openvpn import wait_until


def test_a_proper_answer(address: UnixAddress) -> None:
    before = time.time()
    with Fake(address, answer) as fake:
        poller, outcome = poll(server(address))
    assert poller.known == Known(True, LoadStats(3, 100, 200), "2.6.14", 3, 0)
    assert poller.last_reply is not None
    assert before <= poller.last_reply <= time.time()
    assert outcome.commands == len(fake.record) == 4
    assert outcome.failure is None
    assert outcome.delay is not None
    assert outcome.delay > 0
    assert poller.pending() == 0


def test_it_never_sends_anything_else(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poll(server(address, per_client=True), times=3)
    assert set(fake.record) == ALLOWED


def test_details_are_asked_once_in_a_while_and_kept(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poller, outcome = poll(server(address), times=5)
    assert fake.record.count(b"load-stats") == 5
    assert fake.record.count(b"version") == fake.record.count(b"verb") == fake.record.count(b"mute") == 1
    assert outcome.commands == 1
    assert poller.known == Known(True, LoadStats(3, 100, 200), "2.6.14", 3, 0)


def test_details_are_asked_again_after_a_failure(address: UnixAddress) -> None:
    """The server may have been started anew, as another version."""
    outcomes: list[Outcome] = []
    poller = Poller(server(address), PROC, outcomes.append)
    with Fake(address, answer):
        poller.poll()
    poller.poll()
    assert poller.known == Known(up=False)
    Path(address.path).unlink()
    with Fake(address, answer) as fake:
        poller.poll()
    assert [outcome.failure for outcome in outcomes] == [None, "refused", None]
    assert b"version" in fake.record


def test_clients_are_asked_for_only_on_request(address: UnixAddress) -> None:
    with Fake(address, answer) as fake:
        poller, _ = poll(server(address), times=2)
        assert b"status 3" not in fake.record
        assert poller.known is not None
        assert poller.known.clients == ()
        poller, _ = poll(server(address, per_client=True), times=2)
    assert poller.known is not None
    assert poller.known.clients == (ClientRow("alice", 10, 20, 1),)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_tcp(host: str) -> None:
    """The name localhost is two addresses on most hosts, and OpenVPN listens on one of them."""
    with Fake(TcpAddress("127.0.0.1" if host == "localhost" else host, 0), answer) as fake:
        assert isinstance(fake.address, TcpAddress)
        poller, outcome = poll(server(TcpAddress(host, fake.address.port)))
    assert outcome.failure is None
    assert poller.known is not None
    assert poller.known.stats == LoadStats(3, 100, 200)


def test_pending_grows_while_an_answer_is_waited_for(address: UnixAddress) -> None:
    go_on = threading.Event()

    def late(peer: Peer) -> None:
        peer.send(BANNER)
        peer.line()
        go_on.wait(30)
        peer.send(REPLIES[b"load-stats"])
        peer.wait_for_end()

    outcomes: list[Outcome] = []
    poller = Poller(server(address, management_timeout=0.5), PROC, outcomes.append)
    patient = Poller(server(address), PROC, outcomes.append)
    with Fake(address, late):
        assert patient.pending() == 0
        thread = threading.Thread(target=patient.poll)
        thread.start()
        wait_until(lambda: patient.pending() > 0.3, "pending grows")
        go_on.set()
        patient.stop()
        thread.join()
    assert patient.pending() == poller.pending() == 0
    assert patient.last_reply is not None


def test_never_two_polls_at_once_and_the_interval_is_kept(address: UnixAddress) -> None:
    outcomes: list[Outcome] = []
    begun: list[float] = []
    at_once = 0

    def slow(peer: Peer) -> None:
        nonlocal at_once
        begun.append(time.monotonic())
        at_once += 1
        assert at_once == 1
        time.sleep(0.05)
        answer(peer)
        at_once -= 1

    poller = Poller(server(address, management_interval=0.01), PROC, outcomes.append)
    with Fake(address, slow):
        poller.start()
        wait_until(lambda: len(outcomes) >= 5, "five polls")
        poller.stop()
        poller.join()
    assert {outcome.failure for outcome in outcomes} == {None}
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(begun))


def test_stopping_gives_up_a_poll_under_way(address: UnixAddress) -> None:
    outcomes: list[Outcome] = []
    poller = Poller(server(address, management_timeout=3600.0), PROC, outcomes.append)
    with silent(Path(address.path), 8):
        poller.start()
        wait_until(lambda: poller.pending() > 0, "a poll is under way")
        poller.stop()
        poller.join()
    names = [thread.name for thread in threading.enumerate()]
    assert "management s" not in names
    assert outcomes == [Outcome(0, None, None)], "a poll that was given up is no failure"


def test_no_descriptor_stays_open(address: UnixAddress) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    for behaviour in (answer, say(b""), say(b"nonsense\r\n")):
        with Fake(address, behaviour):
            before = descriptors()
            poll(server(address), times=5)
            wait_until(lambda before=before: descriptors() <= before, "all connections are closed")
        Path(address.path).unlink()


def test_one_log_line_a_condition(address: UnixAddress, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    poller = Poller(server(address), PROC, [].append)
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
