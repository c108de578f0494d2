"""The way of each connection, from the lines that OpenVPN writes of it."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.openvpn.connection import PHASES, RESULTS
from exporter.openvpn.connectiontable import ConnectionTable
from exporter.openvpn.connectiontexts import DISCONNECT_REASONS, VERIFY_ERRORS, disconnect_reason, verify_error_reason
from exporter.openvpn.logparser import LogParser

A = "192.0.2.1:5"
B = "192.0.2.2:5"
BASE = 1795664857  # seconds


def stamped(seconds: float, line: str) -> str:
    return f"{BASE + seconds:.6f} 1 {line}"


def udp(address: str, name: str, start: float = 0.0, *, answered: bool = True) -> list[str]:
    """What OpenVPN 2.6 logs at --verb 3 of a connection by UDP, 4 s of a script and 1 s to the push reply."""
    named = f"{name}/{address}"
    return [
        stamped(start, f"{address} VERIFY OK: depth=1, CN=ca"),
        stamped(start, f"{address} VERIFY OK: depth=0, CN={name}"),
        stamped(start + 0.1, f"{address} peer info: IV_VER=2.6.14"),
        stamped(start + 0.1, f"{address} peer info: IV_PLAT=linux"),
        stamped(start + 0.1, f"{address} TLS: move_session: dest=TM_ACTIVE src=TM_INITIAL reinit_src=1"),
        stamped(start + 0.2, f"{address} [{name}] Peer Connection Initiated with [AF_INET]{address}"),
        stamped(start + 0.2, f"{named} MULTI_sva: pool returned IPv4=10.8.0.2, IPv6=(Not enabled)"),
        *(answer(address, name, start + 4.2) if answered else []),
    ]


def answer(address: str, name: str, start: float) -> list[str]:
    named = f"{name}/{address}"
    return [
        stamped(start, f"{named} MULTI: Learn: 10.8.0.2 -> {named}"),
        stamped(start, f"{named} MULTI: primary virtual IP for {named}: 10.8.0.2"),
        stamped(start + 1, f"{named} SENT CONTROL [{name}]: 'PUSH_REPLY,route-gateway 10.8.0.1' (status=1)"),
    ]


def exits(address: str, name: str, start: float = 60.0, reason: str = "delayed-exit") -> list[str]:
    return [stamped(start, f"{name}/{address} SIGTERM[soft,{reason}] received, client-instance exiting")]


def refused(address: str, name: str, start: float) -> list[str]:
    """What follows each refusal after the certificate was checked."""
    return [
        stamped(start, f"{name}/{address} Delayed exit in 5 seconds"),
        stamped(start, f"{name}/{address} SENT CONTROL [UNDEF]: 'AUTH_FAILED' (status=1)"),
        stamped(start, f"{name}/{address} SENT CONTROL [{name}]: 'AUTH_FAILED' (status=1)"),
        *exits(address, name, start + 5),
    ]


def fed(lines: Iterable[str], parser: LogParser | None = None, *, one_by_one: bool = False) -> ConnectionTable:
    parser = parser or LogParser()
    whole = [f"{line}\n".encode() for line in lines]
    for batch in whole if one_by_one else [b"".join(whole)]:
        parser.feed(batch)
    return parser.connections


def results(table: ConnectionTable) -> dict[str, int]:
    return {result: count for result, count in table.tally.results.items() if count}


def disconnects(table: ConnectionTable) -> dict[str, int]:
    return {reason: count for reason, count in table.tally.disconnects.items() if count}


def seconds(table: ConnectionTable) -> dict[str, float]:
    """The sum of each phase that was observed."""
    return {phase: round(durations.sum, 3) for phase, durations in table.tally.phases.items() if sum(durations.counts)}


KNOWN = [*udp("198.51.100.9:9", "known"), *exits("198.51.100.9:9", "known", 6.0)]  # shows that --verb is 3


def after_known(lines: Iterable[str]) -> ConnectionTable:
    """The table, fed with lines, of a log that has one connection before."""
    table = fed([*KNOWN, *lines])
    assert table.tally.results["answered"] >= 1
    table.tally.results["answered"] -= 1
    table.tally.disconnects["delayed-exit"] -= 1
    return table


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_connection_by_udp(one_by_one: bool) -> None:
    """No line about its first packet: no phase tls. No password: no phase auth."""
    table = fed([*udp(A, "alice"), *exits(A, "alice")], one_by_one=one_by_one)
    assert results(table) == {"answered": 1}
    assert disconnects(table) == {"delayed-exit": 1}
    assert seconds(table) == {"script": 4.0, "push": 1.0, "setup": 5.2}
    assert table.in_progress() == 0
    assert not table.clients
    assert not table.open
    assert not table.answered


def test_a_connection_by_tcp_with_a_password() -> None:
    """All phases."""
    lines = [
        stamped(0, f"TCP connection established with [AF_INET]{A}"),
        stamped(0.5, f"{A} TLS: Initial packet from [AF_INET]{A}, sid=1 2"),
        *udp(A, "alice", 2.0),
    ]
    lines.insert(7, stamped(2.15, f"{A} TLS: Username/Password authentication succeeded for username 'alice' [CN SET]"))
    assert "IV_PLAT" in lines[5]
    assert seconds(fed(lines)) == {"tls": 2.0, "auth": 0.15, "script": 4.0, "push": 1.0, "setup": 7.2}


def test_before_2_6_udp_has_a_first_packet() -> None:
    lines = [stamped(0, f"{A} TLS: Initial packet from [AF_INET]{A}, sid=1 2"), *udp(A, "alice", 1.0)]
    table = fed(lines)
    assert seconds(table) == {"tls": 1.0, "script": 4.0, "push": 1.0, "setup": 6.2}
    assert results(table) == {"answered": 1}


def test_without_client_certificates() -> None:
    """The first line is the peer info, and the prefix has no name."""
    lines = [
        stamped(0, f"{A} peer info: IV_VER=2.6.14"),
        stamped(0, f"{A} peer info: IV_PLAT=linux"),
        stamped(1, f"{A} TLS: Username/Password authentication succeeded for username 'alice' "),
        stamped(1, f"{A} [] Peer Connection Initiated with [AF_INET]{A}"),
        stamped(1, f"{A} MULTI_sva: pool returned IPv4=10.8.0.2, IPv6=(Not enabled)"),
        stamped(1.5, f"{A} MULTI: Learn: 10.8.0.2 -> {A}"),
        stamped(1.5, f"{A} SENT CONTROL []: 'PUSH_REPLY,ping 10' (status=1)"),
        stamped(9, f"{A} SIGTERM[soft,delayed-exit] received, client-instance exiting"),
    ]
    table = fed(lines)
    assert results(table) == {"answered": 1}
    assert disconnects(table) == {"delayed-exit": 1}
    assert seconds(table) == {"auth": 1.0, "script": 0.5, "push": 0.0, "setup": 1.5}


@pytest.mark.parametrize("version", ["udp4", "tcp4-server"])
def test_version_2_7_writes_the_protocol_before_the_address(version: str) -> None:
    lines = [line.replace(A, f"{version}:{A}") for line in [*udp(A, "alice"), *exits(A, "alice")]]
    lines.insert(0, stamped(0, f"TCP connection established with [AF_INET]{A}"))
    table = fed(lines)
    assert results(table) == {"answered": 1}
    assert disconnects(table) == {"delayed-exit": 1}


def test_version_2_7_knows_a_client_by_its_name_too() -> None:
    """When it replaces its older connection, and when it has moved to another address."""
    dropped = stamped(9, "MULTI: new connection by client 'alice' will cause previous active sessions by this client")
    for line, reason in (
        (f"{dropped} to be dropped.", "replaced"),
        (exits("198.51.100.1:7", "alice", reason="ping-restart")[0].replace("/", "/udp4:"), "ping-restart"),
    ):
        table = fed([*(line.replace(A, f"udp4:{A}") for line in udp(A, "alice")), line])
        assert disconnects(table) == {reason: 1}
        assert not table.answered


def test_ipv6_and_names_with_spaces_and_slashes() -> None:
    for address in ("2001:db8::1", "[2001:db8::1]:5", "2001:db8::a"):
        for name in ("alice", "two words", "a/b", "a'b]: 'AUTH_FAILED"):
            table = fed([*KNOWN, *udp(address, name), *exits(address, name)])
            assert results(table)["answered"] + results(table).get("auth_failed", 0) == 2
            assert disconnects(table)["delayed-exit"] + results(table).get("auth_failed", 0) == 2
            assert table.in_progress() == 0


def test_connections_at_the_same_time() -> None:
    """Line by line between each other."""
    both = [line for pair in zip(udp(A, "alice"), udp(B, "bob"), strict=True) for line in pair]
    table = fed([*both, *exits(B, "bob"), *exits(A, "alice", reason="ping-restart")])
    assert results(table) == {"answered": 2}
    assert disconnects(table) == {"delayed-exit": 1, "ping-restart": 1}
    assert seconds(table) == {"script": 8.0, "push": 2.0, "setup": 10.4}


def test_a_renegotiation_is_no_connection() -> None:
    again = [
        stamped(3600, f"alice/{A} VERIFY OK: depth=1, CN=ca"),
        stamped(3600, f"alice/{A} VERIFY OK: depth=0, CN=alice"),
        stamped(3600, f"alice/{A} peer info: IV_VER=2.6.14"),
        stamped(3600, f"alice/{A} TLS: Username/Password authentication succeeded for username 'alice'"),
    ]
    table = after_known([*udp(A, "alice"), *again, *exits(A, "alice")])
    assert results(table) == {"answered": 1}
    assert table.in_progress() == 0
    table = after_known(again)  # of a client that was there before the exporter was
    assert results(table) == {}
    assert table.in_progress() == 0
    table = after_known([line.replace("alice/", "") for line in again[2:]])  # without certificates
    assert results(table) == {}
    assert table.in_progress() == 0


REFUSALS: dict[str, list[str]] = {
    "auth_failed": [
        *udp(A, "alice", answered=False)[:4],
        stamped(1, f"{A} TLS Auth Error: Auth Username/Password verification failed for peer"),
        stamped(1, f"{A} [alice] Peer Connection Initiated with [AF_INET]{A}"),
        *refused(A, "alice", 1),
    ],
    "script_failed": [
        *udp(A, "alice", answered=False),
        stamped(1, f"alice/{A} WARNING: Failed running command (--client-connect): external program fork failed"),
        *refused(A, "alice", 2),
    ],
    "tls_failed": [
        stamped(0, f"{A} VERIFY ERROR: depth=0, error=certificate has expired: CN=alice, serial=3"),
        stamped(0, f"{A} OpenSSL: error:0A000086:SSL routines::certificate verify failed:"),
        stamped(0, f"{A} TLS_ERROR: BIO read tls_read_plaintext error"),
        stamped(0, f"{A} TLS Error: TLS object -> incoming plaintext read error"),
        stamped(0, f"{A} TLS Error: TLS handshake failed"),
        stamped(0, f"{A} SIGUSR1[soft,tls-error] received, client-instance restarting"),
    ],
    "pool_exhausted": [
        *udp(A, "alice", answered=False)[:-1],
        stamped(1, f"alice/{A} MULTI: no free --ifconfig-pool addresses are available"),
        stamped(1, f"alice/{A} SENT CONTROL [alice]: 'PUSH_REPLY,ping 10' (status=1)"),
        *exits(A, "alice"),
    ],
    "limit": [
        stamped(number, f"{A} MULTI: new incoming connection would exceed maximum number of clients (1)")
        for number in range(9)
    ],
    "lost": [*udp(A, "alice", answered=False), *exits(A, "alice", reason="ping-restart")],
}  # fmt: skip


@pytest.mark.parametrize("result", REFUSALS)
def test_each_end_but_the_good_one(result: str) -> None:
    """Counted once, however many lines it has; and nothing of it is a disconnect."""
    for one_by_one in (False, True):
        parser = LogParser()
        fed(KNOWN, parser)
        table = fed(REFUSALS[result], parser, one_by_one=one_by_one)
        assert results(table) == {"answered": 1, result: 1}
        assert disconnects(table) == {"delayed-exit": 1}
        assert table.in_progress() == 0
        # and the same client again, from the same port
        assert results(fed([*udp(A, "alice", 99.0), *exits(A, "alice", 199.0)], parser)) == {"answered": 2, result: 1}
        assert disconnects(table) == {"delayed-exit": 2}


def test_every_result_is_reached() -> None:
    assert {"answered", *REFUSALS} == set(RESULTS)


def test_a_deferred_refusal_and_one_without_a_reason() -> None:
    deferred = stamped(1, f"alice/{A} MULTI: deferred --client-connect script returned CC_RET_FAILED")
    table = after_known([*udp(A, "alice", answered=False), deferred, *refused(A, "alice", 2)])
    assert results(table) == {"script_failed": 1}
    table = after_known([*udp(A, "alice", answered=False), *refused(A, "alice", 2)])
    assert results(table) == {"auth_failed": 1}


@pytest.mark.parametrize(
    ("accepted", "prefix"),
    [
        ("[AF_INET]192.0.2.1:", "192.0.2.1:77"),
        ("[AF_INET6]::ffff:192.0.2.1:", "192.0.2.1:77"),
        ("[AF_INET6]2001:db8::1:", "2001:db8::1"),
    ],
)
def test_too_many_clients_by_tcp(accepted: str, prefix: str) -> None:
    """The line has no prefix there: it is of the connection that was just accepted."""
    lines = [stamped(0, f"TCP connection established with {accepted}77"), *udp(prefix, "alice")]
    for port in range(3):
        lines.append(stamped(port, f"TCP connection established with {accepted}{port}"))
        lines.append(stamped(port, "MULTI: new incoming connection would exceed maximum number of clients (1)"))
    table = after_known(lines)
    assert results(table) == {"answered": 1, "limit": 3}
    assert not table.open
    assert prefix in table.answered


def test_a_client_that_replaces_its_older_connection() -> None:
    """OpenVPN drops the older one without a line, and leaves the prefix of the next lines out."""
    second = udp(B, "alice", 10.0)
    bare = [line.replace(f" alice/{B} ", " ") for line in second[6:]]
    dropped = stamped(
        10.2, "MULTI: new connection by client 'alice' will cause previous active sessions by this client to be "
        "dropped.  Remember to use the --duplicate-cn option if you want multiple clients using the same certificate",
    )  # fmt: skip
    for one_by_one in (False, True):
        table = fed([*udp(A, "alice"), *second[:6], dropped, *bare], one_by_one=one_by_one)
        assert results(table) == {"answered": 2}
        assert disconnects(table) == {"replaced": 1}
        assert list(table.answered) == [B]
    failed = stamped(11, "WARNING: Failed running command (--client-connect): external program fork failed")
    sent = stamped(11, "SENT CONTROL [alice]: 'AUTH_FAILED' (status=1)")
    table = fed([*udp(A, "alice"), *second[:6], dropped, bare[0], failed, sent, *exits(B, "alice")])
    assert results(table) == {"answered": 1, "script_failed": 1}
    assert disconnects(table) == {"replaced": 1}


def test_a_reconnect_from_the_same_port() -> None:
    """OpenVPN notices the new session, whose lines carry the name of the old one."""
    again = stamped(9, f"alice/{A} TLS: Initial packet from [AF_INET]{A}, sid=7dc0b298 d3c2fdf8")
    verified = [line.replace(f" {A} ", f" alice/{A} ") for line in udp(A, "alice", 10.0)[:4]]
    sent = stamped(31, f"alice/{A} SENT CONTROL [alice]: 'PUSH_REPLY,ping 10' (status=1)")
    table = after_known([*udp(A, "alice"), again, *verified])
    assert results(table) == {"answered": 1}
    assert disconnects(table) == {"replaced": 1}
    assert table.in_progress() == 1
    table = after_known([*udp(A, "alice"), again, *verified, sent, *exits(A, "alice")])
    assert results(table) == {"answered": 2}
    assert disconnects(table) == {"replaced": 1, "delayed-exit": 1}


def test_a_client_that_floats_to_another_address() -> None:
    """At --verb 3 no line says so: the name of its last lines leads to it."""
    table = after_known([*udp(A, "alice"), *exits("198.51.100.1:7", "alice", reason="ping-restart")])
    assert disconnects(table) == {"ping-restart": 1}
    assert not table.answered


def test_the_end_of_a_client_that_was_there_before() -> None:
    """One with a name was admitted; of one without, nothing is known."""
    table = after_known(exits(A, "alice"))
    assert disconnects(table) == {"delayed-exit": 1}
    unknown = stamped(1, f"{A} SIGUSR1[soft,tls-error] received, client-instance restarting")
    table = after_known([unknown])
    assert disconnects(table) == {}
    nameless = [
        stamped(0, f"{B} peer info: IV_VER=2.6.14"),
        stamped(0, f"{B} MULTI_sva: pool returned IPv4=10.8.0.2, IPv6=(Not enabled)"),
        stamped(0, f"{B} SENT CONTROL []: 'PUSH_REPLY,ping 10' (status=1)"),
    ]
    table = after_known([*nameless, unknown])
    assert disconnects(table) == {}
    assert B in table.answered


@pytest.mark.parametrize(
    "end",
    [
        "SIGTERM[hard,] received, process exiting",
        "SIGUSR1[hard,] received, process restarting",
        "SIGHUP[hard,] received, process restarting",
        "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]",
    ],
)
def test_no_connection_outlives_the_server(end: str) -> None:
    table = after_known([*udp(A, "alice"), *udp(B, "bob", answered=False), stamped(9, end)])
    assert results(table) == {"answered": 1, "lost": 1}
    assert disconnects(table) == {"server-exit": 1}
    assert table.in_progress() == 0


def test_below_verb_3_nothing_is_known() -> None:
    """At 2 there are certificates, and no answer: that is no reason to call them lost."""
    at_2 = [line for line in [*udp(A, "alice"), *udp(B, "bob")] if "SENT CONTROL" not in line and "Learn" not in line]
    parser = LogParser()
    assert not fed([*at_2, stamped(9, "SIGTERM[hard,] received, process exiting")], parser).is_visible
    table = fed([stamped(10, "OpenVPN 2.6.14 x86_64-pc-linux-gnu [LZO]"), *udp(A, "alice", 11.0)], parser)
    assert table.is_visible
    assert results(table) == {"answered": 1}
    fed([stamped(20, "OpenVPN 2.6.14 x86_64-pc-linux-gnu [LZO]"), *at_2], parser)
    fed([stamped(30, "SIGTERM[hard,] received, process exiting")], parser)
    assert results(table) == {"answered": 1}


def test_results_before_the_first_answer_count_with_it() -> None:
    parser = LogParser()
    assert not fed(REFUSALS["tls_failed"], parser).is_visible
    assert results(fed(udp(A, "alice"), parser)) == {"tls_failed": 1, "answered": 1}


def test_lines_without_stamps_have_no_durations() -> None:
    """They are unknown, not 0."""
    table = fed(line.split(" ", 2)[2] for line in [*udp(A, "alice"), *exits(A, "alice")])
    assert results(table) == {"answered": 1}
    assert seconds(table) == {}


def test_times_from_the_journal() -> None:
    """With and without a stamp of OpenVPN's own."""
    for own in ("", "2026-11-26 10:00:00 "):
        parser = LogParser()
        lines = [line.split(" ", 2) for line in [*udp(A, "alice"), *exits(A, "alice")]]
        for _ in range(2):
            batch = "".join(f"{own}{message}\n" for _, _, message in lines).encode()
            parser.feed(batch, [float(time) for time, _, _ in lines])
        assert seconds(parser.connections) == {"script": 8.0, "push": 2.0, "setup": 10.4}
        assert disconnects(parser.connections) == {"delayed-exit": 2}


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S ",
        "%a %b %d %H:%M:%S %Y ",
        "%b %d %H:%M:%S vpn openvpn[1]: ",
        "%Y-%m-%dT%H:%M:%S+00:00 h o[1]: ",
    ],
)
def test_stamps_of_seconds(form: str) -> None:
    """Durations are as exact as the stamps."""
    lines = [line.split(" ", 2) for line in udp(A, "alice")]
    table = fed(datetime.fromtimestamp(float(time), UTC).strftime(form) + rest for time, _, rest in lines)
    assert seconds(table) == {"script": 4.0, "push": 1.0, "setup": 5.0}


def test_a_flood_of_first_packets_is_bounded() -> None:
    """The oldest are lost; so are those of which no line comes for ten minutes."""
    parser = LogParser()
    fed(KNOWN, parser)
    for number in range(10_000):
        line = stamped(0, f"192.0.2.{number % 250}:{number} VERIFY OK: depth=0, CN=x")
        parser.feed(f"{line}\n".encode())
    table = parser.connections
    assert table.in_progress() == len(table.open) == 4096
    assert len(table.clients) <= 4096
    assert table.tally.results["lost"] == 10_000 - 4096
    table.now = 601.0
    table.expire()
    assert table.in_progress() == 0
    assert table.tally.results["lost"] == 10_000


def test_what_is_saved_is_restored() -> None:
    """A connection in progress goes on; one whose state may be old is forgotten rather than counted twice."""
    before = LogParser()
    fed([*KNOWN, *udp(A, "alice"), *udp(B, "bob", answered=False)], before)
    saved = before.connections.save()
    for with_open in (True, False):
        after = LogParser()
        after.connections.restore(saved, with_open=with_open)
        table = fed([*answer(B, "bob", 4.2), *exits(A, "alice"), *exits(B, "bob")], after)
        assert results(table) == ({"answered": 1} if with_open else {})
        assert seconds(table) == ({"script": 4.0, "push": 1.0, "setup": 5.2} if with_open else {})
        assert disconnects(table) == {"delayed-exit": 2}
        assert not table.open
    malformed_values: list[object] = [None, [], {"open": 1}, {"answered": {"x": [1]}}, {"open": {"x": [[]] * 16}}]
    for malformed in malformed_values:
        table = ConnectionTable()
        table.restore(malformed, with_open=True)
        assert not table.open
        assert not table.answered


def test_versions_of_those_who_are_connected() -> None:
    table = fed([*udp(A, "alice"), *udp(B, "bob")])
    assert table.versions() == {("2.6.14", "linux"): 2}
    fed_again = LogParser()
    table = fed([*udp(A, "alice"), *exits(A, "alice")], fed_again)
    assert not table.versions()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("VERIFY ERROR: depth=0, error=certificate has expired: CN=x, serial=1", "expired"),
        ("VERIFY ERROR: depth=0, error=certificate revoked: CN=x, serial=1", "revoked"),
        ("VERIFY ERROR: depth=0, error=CRL has expired: CN=x", "crl_expired"),
        ("VERIFY ERROR: depth=0, error=unable to get certificate CRL: CN=x", "crl_missing"),
        ("VERIFY ERROR: depth=0, error=self-signed certificate: CN=x", "unknown_ca"),
        ("VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=x", "unknown_ca"),
        ("VERIFY ERROR: depth=1, error=something new: CN=certificate revoked:", "other"),
        ("VERIFY ERROR: depth=0, subject=CN=x: The certificate has expired", "other"),
        ("VERIFY SCRIPT ERROR: depth=0, CN=x", "script"),
        ("VERIFY EKU ERROR", "purpose"),
        ("VERIFY X509NAME ERROR: CN=x, must be y", "name"),
        ("VERIFY nsCertType ERROR: CN=x, require nsCertType=CLIENT", "purpose"),
    ],
)
def test_reasons_of_refused_certificates(message: str, reason: str) -> None:
    assert verify_error_reason(message) == reason
    assert reason in VERIFY_ERRORS
    table = fed([stamped(0, f"{A} {message}")])
    assert table.tally.verify_errors == {reason: 1}


@pytest.mark.parametrize("reason", ["ping-restart", "connection-reset", "", "something-new"])
def test_reasons_of_disconnects(reason: str) -> None:
    expected = {"": "management", "something-new": "other"}.get(reason, reason)
    assert disconnect_reason(f"SIGUSR1[soft,{reason}] received, client-instance") == expected
    assert expected in DISCONNECT_REASONS


TEXTS = [line.split(" ", 2)[2] for lines in (*REFUSALS.values(), udp(A, "alice"), exits(A, "alice")) for line in lines]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from([A, B]), st.floats(0, 9))))
def test_nothing_is_counted_twice_in_whatever_order(lines: list[tuple[str, str, float]]) -> None:
    """Each attempt that begins ends once; none is left over, and every duration is possible."""
    parser = LogParser()
    table = fed(KNOWN, parser)
    fed((stamped(10 + time, text.replace(A, address)) for text, address, time in lines), parser)
    fed([stamped(99, "SIGTERM[hard,] received, process exiting")], parser)
    begun = sum(
        "VERIFY OK: depth=0" in text or "VERIFY ERROR" in text or "exceed" in text or "IV_VER" in text
        for text, *_ in lines
    )
    assert sum(results(table).values()) <= begun + 1
    assert not table.open
    assert not table.clients
    assert sum(disconnects(table).values()) >= results(table)["answered"]
    for phase in PHASES:
        assert table.tally.phases[phase].sum >= 0
