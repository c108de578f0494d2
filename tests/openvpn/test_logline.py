"""The prefix of a log line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.openvpn.logline import Line, split, split_inside, times_repeated
from tests.support.carriers import CARRIERS, STAMPS

ADDRESSES = [
    "192.0.2.1:50000",
    "192.0.2.1",
    "2001:db8::1",
    "::1",
    "fe80::1%eth0",
    "::ffff:192.0.2.1",
    "[2001:db8::1]:50000",
    "udp4:192.0.2.1:50000",
    "udp6:[2001:db8::1]:50000",
    "tcp4-server:192.0.2.1:50000",
]
CLIENTS = [*ADDRESSES, "alice/192.0.2.1:50000", "a/b@c/udp6:[2001:db8::1]:5", "two words/192.0.2.1:1", "/192.0.2.1:1"]
MESSAGES = [
    "VERIFY OK: depth=1, CN=ca",
    "peer info: IV_VER=2.6.14",
    "TLS: Initial packet from [AF_INET]192.0.2.1:5, sid=1 2",
    "TLS Error: TLS handshake failed",
    "MULTI: Learn: 10.8.0.2 -> alice/192.0.2.1:5",
    "WARNING: Failed running command (--client-connect): external program exited with error status: 3",
    "[alice] Peer Connection Initiated with [AF_INET]192.0.2.1:5",
    "SENT CONTROL [alice]: 'PUSH_REPLY,route 10.8.0.1' (status=1)",
    "",
]

text = st.text(st.characters(codec="utf-8", exclude_characters="\n"))  # what decoding a log can give


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_prefix_comes_apart(carrier: str) -> None:
    for stamp in STAMPS:
        for client in ("", *CLIENTS):
            for message in MESSAGES:
                line = carrier + "".join(f"{part} " for part in (stamp, client) if part) + message
                assert split(line) == Line(carrier, CARRIERS[carrier], stamp, client, message)


@pytest.mark.parametrize("stamp", STAMPS)
def test_dockers_json_file(stamp: str) -> None:
    start = f"{stamp} " if stamp else ""
    line = f'{{"log":"{start}192.0.2.1:5 a \\u003c\\"b\\"\\n","stream":"stdout","time":"2026-11-23T20:40:09.1Z"}}'
    assert split(line)[2:] == (stamp, "192.0.2.1:5", 'a <"b"', 1)
    assert split(line.replace("\\n", "\\r\\n")) == split(line)  # with tty: true
    for other in ('{"log":1}', '{"log":"cut', '{"log":{}}', '{"log":'):
        assert split(other) == Line("", "", "", "", other)


@pytest.mark.parametrize("carrier", [carrier for carrier, tag in CARRIERS.items() if tag])
def test_a_line_that_stands_for_several(carrier: str) -> None:
    """As rsyslog writes it; not if a client, or a script without syslog, says so."""
    line = split(f"{carrier}message repeated 49 times: [ a/192.0.2.1:5 MULTI: x [y] z]")
    assert line == Line(carrier, CARRIERS[carrier], "", "a/192.0.2.1:5", "MULTI: x [y] z", 49)
    assert split("message repeated 49 times: [ x]").times == 1
    assert split(f"{carrier}192.0.2.1:5 message repeated 49 times: [ x]").times == 1


def test_the_last_message_repeated() -> None:
    """As syslogd of the BSDs writes it."""
    assert times_repeated("Nov 23 20:40:09 vpn1 last message repeated 3 times") == 3
    assert times_repeated("Nov 23 20:40:09 vpn1 last message repeated 3 times or so") is None
    assert times_repeated("last message repeated 3 times") is None


@pytest.mark.parametrize("stamp", STAMPS[1:])
def test_a_line_that_starts_behind_output_without_a_newline(stamp: str) -> None:
    for output in ('{"error":1}', "\x1b[0m", " 10%\r 20%\r", "done 2026-11-23", "2026-11-23 20:40"):
        inside = split_inside(f"{output}{stamp} 192.0.2.1:5 x")
        assert any(line.stamp.endswith(stamp) and line[3:] == ("192.0.2.1:5", "x", 1) for line in inside)
    assert len(split_inside(f"{stamp} " * 1000)) <= 8


@settings(deadline=None)
@given(st.sampled_from(sorted(CARRIERS)), st.sampled_from(STAMPS), st.sampled_from(CLIENTS), text)
def test_any_message_behind_a_client_comes_back_whole(carrier: str, stamp: str, client: str, message: str) -> None:
    line = f"{carrier}{stamp} {client} {message}" if stamp else f"{carrier}{client} {message}"
    assert split(line) == Line(carrier, CARRIERS[carrier], stamp, client, message)


@settings(deadline=None)
@given(st.text(alphabet="/:.[]% 0123456789abcdefudptcp46-") | text)
def test_no_line_raises_and_no_character_is_lost(line: str) -> None:
    parts = split(line)
    spaced = " ".join(part for part in (parts.stamp, parts.client) if part)
    assert parts.carrier + spaced + (" " if spaced else "") + parts.message == line
    split_inside(line)
    times_repeated(line)
