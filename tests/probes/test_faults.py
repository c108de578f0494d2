"""Polls of a management interface that misbehaves in every way, or is not there."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.clients import ClientRow
from exporter.openvpn.management import LoadStats, Reason
from exporter.probes.poller import ServerState
from tests.support.fake import BANNER, REPLIES, SHORT, Behaviour, Fake, Peer, answer, endlessly, poll, say, server


def drip(peer: Peer) -> None:
    for byte in BANNER:
        peer.send(bytes([byte]))
    while command := peer.line():
        for line in REPLIES[command].splitlines(keepends=True):
            peer.send(b">LOG:0,N,noise\r\n")
            for byte in line:
                peer.send(bytes([byte]))


def test_slow_bytes_and_real_time_lines_are_an_answer_all_the_same(address: UnixAddress) -> None:
    with Fake(address, drip):
        poller, result = poll(server(address, per_client=True))
    assert result.failure is None
    assert poller.state == ServerState(True, LoadStats(3, 100, 200), "2.6.14", 3, 0, (ClientRow("alice", 0, 0, 1),), 0)


LOAD_STATS = BANNER + REPLIES[b"load-stats"]
STATUS = LOAD_STATS + REPLIES[b"version"] + REPLIES[b"verb"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(say(BANNER.rstrip(), then_hang=True), "timeout", id="banner without newline"),
        pytest.param(say(BANNER[:9], then_hang=True), "timeout", id="half a banner"),
        pytest.param(say(BANNER, then_hang=True), "timeout", id="no reply"),
        pytest.param(say(LOAD_STATS[:-5], then_hang=True), "timeout", id="half a reply"),
        pytest.param(say(LOAD_STATS, then_hang=True), "timeout", id="no version"),
        pytest.param(say(STATUS, then_hang=True), "timeout", id="no status"),
        pytest.param(say(STATUS + REPLIES[b"status 3"][:-30], then_hang=True), "timeout", id="half a status"),
        pytest.param(endlessly(b"x", 0.02, BANNER), "timeout", id="a slow line without end"),
        pytest.param(endlessly(b">LOG:0,N,noise\r\n", 0.02, BANNER), "timeout", id="real-time lines and no reply"),
        pytest.param(endlessly(b"ROUTING_TABLE\t\r\n", 0.02, STATUS), "timeout", id="a slow status without end"),
    ],
)
def test_who_falls_silent_or_never_ends_is_left_at_the_time_limit(
    address: UnixAddress, behaviour: Behaviour, reason: Reason
) -> None:
    with Fake(address, behaviour):
        poller, result = poll(server(address, management_timeout=SHORT, per_client=True))
    assert result.failure == reason
    assert poller.state == ServerState(up=False)
    assert poller.pending() == 0


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(say(b""), "refused", id="closed without a word"),
        pytest.param(say(b">"), "protocol", id="closed in the banner"),
        pytest.param(say(BANNER), "protocol", id="closed after the banner"),
        pytest.param(say(LOAD_STATS[:-3]), "protocol", id="closed in the reply"),
        pytest.param(say(LOAD_STATS), "protocol", id="closed after the reply"),
        pytest.param(say(STATUS + REPLIES[b"status 3"][:-9]), "protocol", id="closed in the status"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol", id="another service"),
        pytest.param(say(BANNER + b"ERROR: no\r\n"), "protocol", id="an error"),
        pytest.param(say(BANNER + b"\x00\xff\xfe\r\n"), "protocol", id="garbage"),
        pytest.param(endlessly(b"x" * 4096), "protocol", id="a line without end"),
        pytest.param(endlessly(b">LOG:0,N,noise\r\n" * 1000, 0, BANNER), "protocol", id="a flood of real-time lines"),
        pytest.param(endlessly(b"ROUTING_TABLE\t\r\n" * 4000, 0, STATUS), "protocol", id="a status without end"),
    ],
)
def test_nonsense_and_hanging_up_are_told_apart(address: UnixAddress, behaviour: Behaviour, reason: Reason) -> None:
    """All of these end by themselves, long before the time limit."""
    with Fake(address, behaviour):
        poller, result = poll(server(address, management_timeout=60.0, per_client=True))
    assert result.failure == reason
    assert poller.state == ServerState(up=False)


def test_a_reply_to_load_stats_is_timed_even_where_a_later_one_fails(address: UnixAddress) -> None:
    with Fake(address, say(LOAD_STATS)):
        _, result = poll(server(address))
    assert result.failure == "protocol"
    assert result.delay is not None


@pytest.mark.parametrize("make", [Path.resolve, Path.touch, Path.mkdir])
def test_where_nobody_listens_it_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Nothing there, or something else."""
    make(tmp_path / "sock")
    assert poll(server(UnixAddress(str(tmp_path / "sock"))))[1].failure == "refused"


def test_a_host_that_cannot_be_looked_up_is_refused() -> None:
    assert poll(server(TcpAddress("x" * 100 + ".invalid", 7505)))[1].failure == "refused"
    assert poll(server(TcpAddress("nowhere.invalid", 7505)))[1].failure == "refused"


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    assert poll(server(UnixAddress("/" + "x" * 200)))[1].failure == "refused"


def test_a_tcp_port_where_nobody_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert poll(server(TcpAddress("127.0.0.1", port)))[1].failure == "refused"


def password(secret: bytes) -> Behaviour:
    def behaviour(peer: Peer) -> None:
        for _ in range(3):
            peer.send(b"ENTER PASSWORD:")
            if peer.line() == secret:
                peer.send(b"SUCCESS: password is correct\r\n")
                return answer(peer)
            peer.send(b"ERROR: bad password\r\n")
        return None

    return behaviour


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\nsecond line\n"])
def test_the_password_is_the_first_line_of_its_file(tmp_path: Path, address: UnixAddress, content: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with Fake(address, password(b"secret")):
        _, result = poll(server(address, management_password_file=file))
    assert result.failure is None
    assert result.commands == 4


def test_a_wrong_a_missing_and_an_unreadable_password(tmp_path: Path, address: UnixAddress) -> None:
    file = tmp_path / "password"
    file.write_text("guess\n")
    with Fake(address, password(b"secret")):
        assert poll(server(address, management_password_file=file))[1].failure == "auth"
        assert poll(server(address))[1].failure == "auth"
        assert poll(server(address, management_password_file=tmp_path / "gone"))[1].failure == "auth"
        assert poll(server(address, management_password_file=tmp_path))[1].failure == "auth"


def test_a_pipe_in_place_of_a_password_is_not_waited_for(tmp_path: Path, address: UnixAddress) -> None:
    """In a thread, as a wait for it has no end."""
    file = tmp_path / "pipe"
    os.mkfifo(file)
    failures: list[Reason | None] = []

    def ask() -> None:
        failures.append(poll(server(address, management_password_file=file))[1].failure)

    with Fake(address, password(b"secret")):
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(10)
    assert failures == ["auth"]


def test_a_password_file_is_not_read_where_no_password_is_asked(tmp_path: Path, address: UnixAddress) -> None:
    with Fake(address, answer):
        assert poll(server(address, management_password_file=tmp_path / "gone"))[1].failure is None
