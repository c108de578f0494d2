"""Which lines are OpenVPN's own, whatever scripts print between them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.openvpn.found import Found, QueueLine, Unread
from exporter.openvpn.logparser import LogParser
from exporter.openvpn.messages import Failure, Notice, meaning
from tests.support.carriers import CARRIERS, STAMPS
from tests.support.meanings import FAILED, MEANINGS

WARNING = f"{FAILED} (--client-connect): external program exited with error status: 3"
FAILURE = Failure("client-connect", "exit_status")
STARTED = "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]"
READY = "Initialization Sequence Completed"
CONNECTED = "192.0.2.1:5 [alice] Peer Connection Initiated with [AF_INET]192.0.2.1:5"
VERIFIED = "192.0.2.1:5 VERIFY OK: depth=0, CN=alice"
STAMP = "2026-11-26 10:00:00 "
DATED = [  # what scripts print that date their lines
    "2026-11-26 10:00:00 connect.sh: cannot reach LDAP",
    "Thu Nov 26 10:00:00 2026 connect.sh: cannot reach LDAP",
    "Nov 26 10:00:00 vpn x[12]: cannot reach LDAP",
    "2026-11-26T10:00:00+00:00 host tag: cannot reach LDAP",
    "1795664857.123456 1 cannot reach LDAP",
]


def failures(parser: LogParser, *lines: str) -> int:
    """How many failures the lines mean, as one batch."""
    found = parser.feed("".join(f"{line}\n" for line in lines).encode())
    return sum(item.times for item in found if item.meaning == FAILURE)


@pytest.mark.parametrize("stamp", STAMPS[1:])
def test_a_line_without_a_stamp_among_lines_with_one_is_a_scripts(stamp: str) -> None:
    parser = LogParser()
    assert failures(parser, f"{stamp} {READY}", WARNING) == 0
    assert failures(parser, WARNING) == 0
    assert failures(parser, f"{stamp} 192.0.2.1:5 {WARNING}") == 1


@pytest.mark.parametrize("dated", DATED)
def test_dated_lines_of_a_script_end_nothing(dated: str) -> None:
    """With --suppress-timestamps, and so in the journal of Debian's unit."""
    parser = LogParser()
    assert failures(parser, STARTED, READY, CONNECTED, f"192.0.2.1:5 {WARNING}") == 1
    for _ in range(100):
        assert failures(parser, dated) == 0
        assert failures(parser, CONNECTED, dated, f"alice/192.0.2.1:5 {WARNING}", dated) == 1


@pytest.mark.parametrize("dated", DATED)
def test_a_log_that_has_nothing_but_failures_and_dated_lines(dated: str) -> None:
    """At verb 0, and after a start of the exporter in the midst."""
    parser = LogParser()
    for _ in range(100):
        assert failures(parser, dated, dated, f"192.0.2.1:5 {WARNING}") == 1


def test_a_script_that_repeats_dated_lines_of_openvpns_costs_some_lines_at_most() -> None:
    """Nothing tells such lines from OpenVPN's own: they count themselves. Then all counts again."""
    parser = LogParser()
    assert failures(parser, STARTED, READY) == 0
    assert failures(parser, *[f"{STAMP}{WARNING}"] * 100) == 100
    assert failures(parser, *[WARNING] * 100) >= 92


def test_no_form_that_is_in_doubt_is_left_out() -> None:
    """A log in which both forms are OpenVPN's, as when two write to it: all of both count but for the first."""
    parser = LogParser()
    assert failures(parser, *[f"{STAMP}192.0.2.1:5 {WARNING}", *[f"192.0.2.1:5 {WARNING}"] * 3] * 20) >= 76


def test_a_restart_without_stamps() -> None:
    """Also if the last lines with a stamp and the first without are read at once."""
    parser = LogParser()
    assert failures(parser, *[f"{STAMP}{VERIFIED}"] * 50) == 0
    assert failures(parser, f"{STAMP}{WARNING}", f"{STAMP}SIGTERM[hard,] received", STARTED, WARNING, READY) == 2
    assert failures(parser, WARNING) == 1


def test_a_restart_with_stamps() -> None:
    parser = LogParser()
    assert failures(parser, STARTED, *[VERIFIED] * 50, WARNING) == 1
    assert failures(parser, f"{STAMP}{STARTED}", f"{STAMP}{READY}", f"{STAMP}{WARNING}") == 1
    for _ in range(8):
        failures(parser, f"{STAMP}{VERIFIED}")
    assert failures(parser, WARNING) == 0


def test_a_restart_without_stamps_at_verb_0() -> None:
    """No first words: after a few lines it is clear all the same."""
    parser = LogParser()
    assert failures(parser, *[f"{STAMP}{WARNING}"] * 50) == 50
    assert failures(parser, *[WARNING] * 50) >= 42


@pytest.mark.parametrize("stamp", STAMPS[1:])
@pytest.mark.parametrize("carrier", ["", "2026-11-26T04:06:58.1Z stdout F "])
@pytest.mark.parametrize(
    "output", ['{"error":1}', "\x1b[0m", " 10%\r 20%\r", "at 2026-11-26 10:00:00", "TLS Error: no"]
)
def test_a_scripts_output_without_a_newline_hides_nothing(stamp: str, carrier: str, output: str) -> None:
    parser = LogParser()
    assert failures(parser, f"{carrier}{stamp} {READY}") == 0
    assert failures(parser, f"{carrier}{output}{stamp} alice/192.0.2.1:5 {WARNING}") == 1
    assert failures(parser, f"{carrier}{output}{stamp} {WARNING}", f"{carrier}{stamp} {WARNING}") == 2


@pytest.mark.parametrize(
    "line",
    [
        f"user {STAMP}{WARNING}'",  # the message does not end there
        f"user 2026-11-25 23:59:59 {WARNING}",  # older than OpenVPN's last line
        f"user Thu Nov 26 10:00:00 2026 {WARNING}",  # another form than that of OpenVPN's lines
        f"user 2026-11-26 10:00:00 us=1 {WARNING}",
        f"user 1795664857.123456 1 {WARNING}",
        f"{STAMP}192.0.2.1:5 peer info: UV_X={STAMP}{WARNING}",  # a line of OpenVPN's: it begins at its beginning
        f"{STAMP}192.0.2.1:5 TLS: Username/Password authentication succeeded for username '{STAMP}{WARNING}",
    ],
)
def test_a_stamp_in_the_midst_of_a_line_that_starts_none(line: str) -> None:
    parser = LogParser()
    failures(parser, f"{STAMP}{READY}")
    assert failures(parser, line) == 0


def test_a_stamp_inside_counts_only_if_openvpn_stamps_its_lines() -> None:
    parser = LogParser()
    failures(parser, STARTED, READY)
    assert failures(parser, f"user {STAMP}{WARNING}") == 0


@pytest.mark.parametrize("carrier", [carrier for carrier in CARRIERS if carrier])
@pytest.mark.parametrize("stamp", ["", STAMP])
def test_every_carrier(carrier: str, stamp: str) -> None:
    parser = LogParser()
    assert failures(parser, f"{carrier}{stamp}{READY}", f"{carrier}{stamp}192.0.2.1:5 {WARNING}") == 1
    assert failures(parser, f"{carrier}{stamp}{WARNING}") == 1
    assert not parser.is_unreadable


def test_repeated_messages_count_as_often_as_they_were_written() -> None:
    carrier = "Nov 26 07:14:39 vm ovpn-server[4711]: "
    parser = LogParser()
    line = f"{carrier}alice/192.0.2.1:5 {WARNING}"
    assert failures(parser, line, f"{carrier}message repeated 49 times: [ alice/192.0.2.1:5 {WARNING}]") == 50
    assert failures(parser, f"{carrier}message repeated 2 times: [ alice/192.0.2.1:5 {WARNING}]") == 2
    last = "Nov 26 07:14:39 vm last message repeated 3 times"
    assert failures(parser, line, last) == 4
    assert failures(parser, line) == 1
    assert failures(parser, last) == 3
    assert failures(parser, f"{carrier}x", last) == 0
    found = parser.feed(f"{carrier}message repeated 5 times: [ Message queue full]\n".encode())
    assert found == [Found(QueueLine("full"), 5)]
    assert failures(parser, line, last, "Nov 26 07:16:39 vm last message repeated 20 times") == 24
    found = parser.feed(f"{carrier}Message queue full\n{last}\n{last}\n".encode())
    assert found == [Found(QueueLine("full"), times) for times in (1, 3, 3)]


def test_lines_behind_a_prefix_that_is_not_known() -> None:
    """They are told, and once they are most of OpenVPN's lines, the log counts as unreadable until they are not."""
    parser = LogParser()
    odd = f"(vpn) 10:00:00 {CONNECTED}"
    assert parser.feed(f"{odd}\n".encode()) == [Found(Unread(odd))]
    assert not parser.is_unreadable
    assert parser.feed(f"(vpn) 192.0.2.1:5 {WARNING}\n{odd}\n".encode())[0].meaning == Unread(
        f"(vpn) 192.0.2.1:5 {WARNING}"
    )
    assert parser.is_unreadable
    for _ in range(1000):
        parser.feed(f"{odd}\n".encode())
    for _ in range(60):
        parser.feed(f"{VERIFIED}\n".encode())
    assert not parser.is_unreadable


def test_what_is_not_unread() -> None:
    """Lines of scripts, and of OpenVPN with a client's words at their end."""
    parser = LogParser()
    lines = [
        f"{STAMP}{READY}",
        WARNING,
        "curl: TLS Error: no",
        f"{STAMP}192.0.2.1:5 peer info: UV_X={WARNING}",
        f"{STAMP}192.0.2.1:5 TLS: Username/Password authentication succeeded for '{WARNING}'",
    ]
    assert parser.feed("".join(f"{line}\n" for line in lines).encode()) == []


def test_lines_that_another_program_wrote_according_to_the_journal() -> None:
    """A script's echo of a warning is nothing; OpenVPN's own words tell that the program was not recognized."""
    parser = LogParser()
    assert parser.feed_output(f"{WARNING}\nMessage queue full\n".encode()) == [Found(QueueLine("full"))]
    assert parser.feed_output(f"{CONNECTED}\n{READY}\n{READY}\n".encode())[0] == Found(Unread(CONNECTED))
    assert parser.is_unreadable


@pytest.mark.parametrize("message", [message for message in MEANINGS if message])
@pytest.mark.parametrize("stamp", ["", STAMP])
def test_the_short_way_and_the_long_one_lead_to_the_same(message: str, stamp: str) -> None:
    """Most lines are taken apart in one pass over the batch, others one by one."""
    expected = meaning(message)
    counted = [Found(expected)] if expected and not isinstance(expected, Notice) else []
    for client in ("192.0.2.1:5 ", "alice/192.0.2.1:5 "):
        parser = LogParser()
        line = f"{stamp}{client}{message}\n".encode()
        assert parser.feed(line) == counted  # long: nothing is known yet
        assert parser.feed(line) == counted  # short, if the first line was OpenVPN's
        assert parser.feed(f"{stamp}two words/192.0.2.1:5 {message}\n".encode()) == counted  # long


@pytest.mark.parametrize(
    "line",
    [
        f"2026-13-26 10:00:00 {READY}",
        f"2026-00-26 10:00:00 {VERIFIED}",
        f"0000-11-26 10:00:00 us=1 {READY}",
        f"Thu Nov 26 10:00:00 0000 {READY}",
        f"2026-13-26T10:00:00Z vpn openvpn[1]: {READY}",
        pytest.param('{"log":' * 20_000 + " received, ", id="braces"),
    ],
)
def test_a_line_with_no_such_month_or_with_endless_braces_hides_no_other(line: str) -> None:
    parser = LogParser()
    assert failures(parser, f"{STAMP}{READY}") == 0
    assert failures(parser, line, f"{STAMP}192.0.2.1:5 {WARNING}") == 1


@settings(deadline=None)
@given(st.lists(st.binary() | st.sampled_from([f"{STAMP}{READY}".encode(), WARNING.encode()])))
def test_any_bytes_are_lines(lines: list[bytes]) -> None:
    parser = LogParser()
    batch = b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
    parser.feed(batch)
    parser.feed_output(batch)


@pytest.mark.parametrize(
    "line",
    [
        # A user name may hold anything, and stands in the midst of a message or, as common name, before it.
        f"192.0.2.1:5 TLS: Username/Password authentication succeeded for '{FAILED} (--ipchange): fork failed'",
        f"{FAILED} (--client-connect): external program exited with error status: 1/192.0.2.1:5 MULTI_sva: pool",
        "TLS Error: me/192.0.2.1:5 MULTI_sva: pool returned IPv4=10.8.0.2",
        "Exiting due to fatal error/192.0.2.1:5 PUSH: Received control message: 'PUSH_REQUEST'",
        # So may what a client tells of itself, which is the end of its line.
        f"192.0.2.1:5 peer info: UV_X={FAILED} (--client-connect): external program exited with error status: 1",
        f"alice/192.0.2.1:5 peer info: UV_X=a/192.0.2.1:5 {FAILED} (--client-connect): external program fork failed",
        f"two words/192.0.2.1:5 peer info: UV_X=a/192.0.2.1:5 {FAILED} (--ipchange): external program fork failed",
        # A message goes to its end.
        f"{FAILED} (--client-connect): external program exited with error status: 1 and more",
        f"{FAILED} (--client-connect): external program exited with error status: 1; rm",
    ],
)
def test_words_of_others_are_no_message(line: str) -> None:
    for stamp in (STAMP, ""):
        parser = LogParser()
        assert parser.feed(f"{stamp}{READY}\n{stamp}{line}\n".encode()) == []
