"""Polls that get no greeting: another client holds the interface, or OpenVPN stands still."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.management import Reason
from exporter.probes.poller import Poller, PollResult
from tests.support.fake import (
    BANNER,
    PROC,
    SHORT,
    Fake,
    Peer,
    answer,
    poll,
    server,
    silent,
)
from tests.support.openvpn import wait_until


def hold(address: UnixAddress | TcpAddress) -> socket.socket:
    """Another client, with its banner read."""
    if isinstance(address, TcpAddress):
        other = socket.create_connection(address)
    else:
        other = socket.socket(socket.AF_UNIX)
        other.connect(address.path)
    assert other.recv(4096).startswith(b">INFO")
    return other


@pytest.mark.parametrize("tcp", [False, True])
def test_another_client_that_holds_the_interface_is_busy(address: UnixAddress, *, tcp: bool) -> None:
    with Fake(TcpAddress("127.0.0.1", 0) if tcp else address, answer) as fake:
        with hold(fake.address):
            assert poll(server(fake.address, management_timeout=SHORT))[1] == PollResult(0, None, "busy")
        assert poll(server(fake.address))[1].failure is None


@pytest.mark.parametrize("tcp", [False, True])
def test_who_has_hung_up_holds_nothing(address: UnixAddress, *, tcp: bool) -> None:
    """As a poll that was given up while a script ran: OpenVPN has accepted it and not noticed its end."""
    go_on = threading.Event()

    def stand_still(peer: Peer) -> None:
        peer.send(BANNER)
        go_on.wait(30)

    with Fake(TcpAddress("127.0.0.1", 0) if tcp else address, stand_still) as fake:
        short = server(fake.address, management_timeout=SHORT)
        assert [poll(short)[1].failure for _ in range(2)] == ["timeout", "timeout"]
        go_on.set()


def test_nobody_holds_it_and_nobody_is_served_is_a_timeout(address: UnixAddress) -> None:
    """The kernel's table of sockets shows that no connection was accepted."""
    with silent(Path(address.path), 8):
        assert poll(server(address, management_timeout=SHORT))[1] == PollResult(0, None, "timeout")


def test_where_the_sockets_cannot_be_seen_silence_is_busy(tmp_path: Path, address: UnixAddress) -> None:
    """As in another network namespace. The documentation says that busy is then a guess."""
    results: list[PollResult] = []
    with silent(Path(address.path), 8):
        Poller(server(address, management_timeout=SHORT), tmp_path, results.append).poll()
    assert results == [PollResult(0, None, "busy")]


@pytest.mark.parametrize(("age", "reason"), [(0.0, "busy"), (300.0, "timeout"), (-300.0, "busy")])
def test_a_status_file_tells_busy_from_blocked(
    tmp_path: Path, address: UnixAddress, age: float, reason: Reason
) -> None:
    """It goes on (or just did, or says nothing wrong), or it stands still."""
    status = tmp_path / "status"
    status.write_text(f"TITLE,OpenVPN\nTIME,now,{int(time.time() - age)}\nEND\n")
    results: list[PollResult] = []
    configured = server(address, management_timeout=SHORT, status=status, status_interval=60.0)
    with silent(Path(address.path), 8):
        Poller(configured, tmp_path, results.append).poll()
    assert results == [PollResult(0, None, reason)]


def test_a_status_file_that_moves_on_during_the_poll_is_the_stronger_witness(
    tmp_path: Path, address: UnixAddress
) -> None:
    """Whatever its zone, and though no socket shows who holds the interface."""
    status = tmp_path / "status"
    status.write_text("TITLE,OpenVPN\nTIME,then,1000\nEND\n")
    results: list[PollResult] = []
    poller = Poller(server(address, management_timeout=SHORT, status=status), PROC, results.append)
    with silent(Path(address.path), 8):
        thread = threading.Thread(target=poller.poll)
        thread.start()
        wait_until(lambda: poller.pending() > SHORT / 4, "the poll is under way")
        (tmp_path / "new").write_text("TITLE,OpenVPN\nTIME,now,1060\nEND\n")
        (tmp_path / "new").replace(status)
        thread.join()
    assert results == [PollResult(0, None, "busy")]


def test_a_full_queue_of_connections_is_waited_for(address: UnixAddress) -> None:
    """connect() on a unix socket then fails at once; when OpenVPN comes back within the limit, the poll succeeds."""
    with silent(Path(address.path), 0) as listener, socket.socket(socket.AF_UNIX) as first:
        first.connect(address.path)
        assert poll(server(address, management_timeout=SHORT))[1] == PollResult(0, None, "timeout")

        def come_back() -> None:
            time.sleep(SHORT)
            for _ in range(2):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    answer(Peer(connection, []))

        first.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=come_back)
        thread.start()
        assert poll(server(address))[1].failure is None
        thread.join()
