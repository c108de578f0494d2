"""Polls of a management interface that misbehaves in every way."""

import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.openvpn.clients import ClientRow
from exporter.openvpn.management import LoadStats, Reason
from exporter.polling.poller import Known, Outcome, Poller
from exporter.servers import Server, TcpAddress, UnixAddress
from tests.lab.openvpn import wait_until
from tests.polling.fake import ALLOWED, BANNER, REPLIES, Behaviour, Fake, Peer, answer, server, silent

PROC = Path("/proc")
SHORT = 1.0  # seconds: a time limit that the test wants to run out


def poll(configured: Server, times: int = 1) -> tuple[Poller, Outcome]:
    """The poller after so many polls, and the outcome of the last."""
    outcomes: list[Outcome] = []
    poller = Poller(configured, PROC, outcomes.append)
    for _ in range(times):
        poller.poll()
    assert len(outcomes) == times
    return poller, outcomes[-1]


@pytest.fixture
def address(tmp_path: Path) -> UnixAddress:
    return UnixAddress(str(tmp_path / "management.sock"))


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
        poller, outcome = poll(server(address, per_client=True))
    assert outcome.failure is None
    assert poller.known == Known(True, LoadStats(3, 100, 200), "2.6.14", 3, 0, (ClientRow("alice", 10, 20, 1),))


def say(data: bytes, *, then_hang: bool = False) -> Behaviour:
    def behaviour(peer: Peer) -> None:
        peer.send(data)
        if then_hang:
            peer.wait_for_end()

    return behaviour


def endlessly(data: bytes, pause: float = 0.0, first: bytes = b"") -> Behaviour:
    def behaviour(peer: Peer) -> None:
        peer.send(first)
        while True:
            peer.send(data)
            time.sleep(pause)

    return behaviour


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
        poller, outcome = poll(server(address, management_timeout=SHORT, per_client=True))
    assert outcome.failure == reason
    assert poller.known == Known(up=False)
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
        poller, outcome = poll(server(address, management_timeout=60.0, per_client=True))
    assert outcome.failure == reason
    assert poller.known == Known(up=False)


def test_a_reply_to_load_stats_is_timed_even_where_a_later_one_fails(address: UnixAddress) -> None:
    with Fake(address, say(LOAD_STATS)):
        _, outcome = poll(server(address))
    assert outcome.failure == "protocol"
    assert outcome.delay is not None


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
        _, outcome = poll(server(address, management_password_file=file))
    assert outcome.failure is None
    assert outcome.commands == 4


def test_a_wrong_a_missing_and_an_unreadable_password(tmp_path: Path, address: UnixAddress) -> None:
    file = tmp_path / "password"
    file.write_text("guess\n")
    with Fake(address, password(b"secret")):
        assert poll(server(address, management_password_file=file))[1].failure == "auth"
        assert poll(server(address))[1].failure == "auth"
        assert poll(server(address, management_password_file=tmp_path / "gone"))[1].failure == "auth"
        assert poll(server(address, management_password_file=tmp_path))[1].failure == "auth"


def test_a_password_file_is_not_read_where_no_password_is_asked(tmp_path: Path, address: UnixAddress) -> None:
    with Fake(address, answer):
        assert poll(server(address, management_password_file=tmp_path / "gone"))[1].failure is None


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
            assert poll(server(fake.address, management_timeout=SHORT))[1] == Outcome(0, None, "busy")
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
        assert poll(server(address, management_timeout=SHORT))[1] == Outcome(0, None, "timeout")


def test_where_the_sockets_cannot_be_seen_silence_is_busy(tmp_path: Path, address: UnixAddress) -> None:
    """As in another network namespace. The documentation says that busy is then a guess."""
    outcomes: list[Outcome] = []
    with silent(Path(address.path), 8):
        Poller(server(address, management_timeout=SHORT), tmp_path, outcomes.append).poll()
    assert outcomes == [Outcome(0, None, "busy")]


@pytest.mark.parametrize(("age", "reason"), [(0.0, "busy"), (300.0, "timeout"), (-300.0, "busy")])
def test_a_status_file_tells_busy_from_blocked(
    tmp_path: Path, address: UnixAddress, age: float, reason: Reason
) -> None:
    """It goes on (or just did, or says nothing wrong), or it stands still."""
    status = tmp_path / "status"
    status.write_text(f"TITLE,OpenVPN\nTIME,now,{int(time.time() - age)}\nEND\n")
    outcomes: list[Outcome] = []
    configured = server(address, management_timeout=SHORT, status=status, status_interval=60.0)
    with silent(Path(address.path), 8):
        Poller(configured, tmp_path, outcomes.append).poll()
    assert outcomes == [Outcome(0, None, reason)]


def test_a_status_file_that_moves_on_during_the_poll_is_the_stronger_witness(
    tmp_path: Path, address: UnixAddress
) -> None:
    """Whatever its zone, and though no socket shows who holds the interface."""
    status = tmp_path / "status"
    status.write_text("TITLE,OpenVPN\nTIME,then,1000\nEND\n")
    outcomes: list[Outcome] = []
    poller = Poller(server(address, management_timeout=SHORT, status=status), PROC, outcomes.append)
    with silent(Path(address.path), 8):
        thread = threading.Thread(target=poller.poll)
        thread.start()
        wait_until(lambda: poller.pending() > SHORT / 4, "the poll is under way")
        (tmp_path / "new").write_text("TITLE,OpenVPN\nTIME,now,1060\nEND\n")
        (tmp_path / "new").replace(status)
        thread.join()
    assert outcomes == [Outcome(0, None, "busy")]


def test_a_full_queue_of_connections_is_waited_for(address: UnixAddress) -> None:
    """connect() on a unix socket then fails at once; when OpenVPN comes back within the limit, the poll succeeds."""
    with silent(Path(address.path), 0) as listener, socket.socket(socket.AF_UNIX) as first:
        first.connect(address.path)
        assert poll(server(address, management_timeout=SHORT))[1] == Outcome(0, None, "timeout")

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
