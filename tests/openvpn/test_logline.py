"""The grammar of OpenVPN's log lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.openvpn.logline import (
    DROPS,
    EVENTS,
    HOOKS,
    QUEUE_KINDS,
    SCRIPT_REASONS,
    Drop,
    Event,
    Failure,
    Line,
    Meaning,
    Suppressed,
    candidates,
    meaning,
    queue_kind,
    split,
)

STAMPS = [
    "",
    "2026-11-23 20:40:09",
    "2026-11-23 20:40:09 us=123456",
    "Mon Nov 23 20:40:09 2026",
    "Mon Nov  3 20:40:09 2026 us=7",
    "1795477816.002053 14000002",
    "Nov 23 20:40:09 vpn1 ovpn-server[4711]:",
    "Nov  3 20:40:09 vpn1.example.net openvpn:",
    "2026-11-23T20:40:09.123456+00:00 vpn1 ovpn-server[4711]:",
    "Nov 23 20:40:09 vpn1 openvpn[1]: 2026-11-23 20:40:09",
]
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

FAILED = "WARNING: Failed running command"
MEANINGS: dict[str, Meaning | None] = {
    f"{FAILED} (--client-connect): external program exited with error status: 3": Failure(
        "client-connect", "exit_status"
    ),
    f"{FAILED} (--client-disconnect): external program did not exit normally": Failure("client-disconnect", "signal"),
    f"{FAILED} (--learn-address): could not execute external program": Failure("learn-address", "not_executable"),
    f"{FAILED} (--auth-user-pass-verify): disallowed by script-security setting": Failure(
        "auth-user-pass-verify", "script_security"
    ),
    f"{FAILED} (--tls-verify script): external program fork failed": Failure("tls-verify", "fork_failed"),
    f"{FAILED} (--tls-crypt-v2-verify): external program exited with error status: 1": Failure(
        "tls-crypt-v2-verify", "exit_status"
    ),
    f"{FAILED} (--client-crresponse): external program exited with error status: 1": Failure(
        "client-crresponse", "exit_status"
    ),
    f"{FAILED} (--route-up): external program exited with error status: 1": Failure("route-up", "exit_status"),
    f"{FAILED} (--up/--down): external program exited with error status: 1": Failure("up-down", "exit_status"),
    f"{FAILED} (--ipchange): external program exited with error status: 1": Failure("ipchange", "exit_status"),
    f"{FAILED} (dns updown): external program exited with error status: 1": Failure("dns-updown", "exit_status"),
    "WARNING: Failed running dns updown: could not execute external program": Failure("dns-updown", "not_executable"),
    f"{FAILED} (--something-new): external program vanished": Failure("other", "other"),
    "PLUGIN_CALL: plugin function PLUGIN_CLIENT_CONNECT_V2 failed with status 1: /usr/lib/x.so": Failure(
        "client-connect", "plugin"
    ),
    "PLUGIN_CALL: plugin function PLUGIN_LEARN_ADDRESS failed with status 1: /usr/lib/x.so": Failure(
        "learn-address", "plugin"
    ),
    "PLUGIN_CALL: plugin function PLUGIN_TLS_FINAL failed with status 1: /usr/lib/x.so": Failure("plugin", "plugin"),
    "PLUGIN_CALL: plugin function PLUGIN_AUTH_USER_PASS_VERIFY failed with status 1: /usr/lib/pam.so": None,
    "WARNING: client-connect-v2 plugin call failed": None,
    "WARNING: learn-address plugin call failed": None,
    "MULTI: deferred --client-connect script returned CC_RET_FAILED": Failure("client-connect", "deferred"),
    "NOTE: --mute triggered...": None,
    "17 variation(s) on previous 3 message(s) suppressed by --mute": Suppressed(17),
    "MULTI: new incoming connection would exceed maximum number of clients (100)": Event("max_clients"),
    "MULTI: Connection from 192.0.2.1:5 would exceed new connection frequency limit as controlled by --connect-freq": (
        Event("connect_freq")
    ),
    "Note: --connect-freq-initial 100 10 rate limit exceeded, dropping initial handshake packets for the next 10 "
    "seconds": Event("connect_freq_initial"),
    "Dropped 42 initial handshake packets due to --connect-freq-initial 100 10": Drop("handshake_rate", 42),
    "MULTI: no free --ifconfig-pool addresses are available": Event("pool_exhausted"),
    "TLS Error: TLS handshake failed": Event("tls_error"),
    "TLS Auth Error: Auth Username/Password verification failed for peer": Event("auth_failed"),
    "Exiting due to fatal error": Event("fatal_exit"),
    "MULTI: Learn FAILED: 10.8.0.2 -> alice/192.0.2.1:5": Event("learn_failed"),
    "MULTI: packet dropped due to output saturation (multi_process_incoming_tun)": Drop("output_saturation", 1),
    "MULTI: packet dropped due to output saturation (multi_add_mbuf)": Drop("output_saturation", 1),
    "MBUF: mbuf packet dropped": Drop("mbuf", 1),
    "MULTI: Outgoing TUN queue full, dropped packet len=1400": Drop("tun_queue", 1),
    "Initialization Sequence Completed": None,
    "peer info: IV_PLAT=linux": None,
    "": None,
}

text = st.text(st.characters(codec="utf-8", exclude_characters="\n"))  # what decoding a log can give


@pytest.mark.parametrize("message", MEANINGS)
def test_what_each_message_means(message: str) -> None:
    """Behind every prefix the same."""
    assert meaning(message) == MEANINGS[message]
    for stamp in STAMPS:
        for client in ("", *CLIENTS):
            assert split("".join(f"{part} " for part in (stamp, client) if part) + message).message == message


def test_every_value_of_a_label_is_reached() -> None:
    """No hook, reason, event or drop is promised that no message gives."""
    meanings = [value for value in MEANINGS.values() if value]
    failures = [value for value in meanings if isinstance(value, Failure)]
    assert {failure.hook for failure in failures} == {*HOOKS, "other", "plugin"}
    assert {failure.reason for failure in failures} == {*SCRIPT_REASONS, "deferred", "plugin", "other"}
    assert {value.event for value in meanings if isinstance(value, Event)} == set(EVENTS)
    assert {value.reason for value in meanings if isinstance(value, Drop)} == set(DROPS)


@settings(deadline=None)
@given(st.sampled_from(STAMPS), st.sampled_from(CLIENTS), text)
def test_any_message_behind_a_client_comes_back_whole(stamp: str, client: str, message: str) -> None:
    line = f"{stamp} {client} {message}" if stamp else f"{client} {message}"
    assert split(line) == Line(stamp, client, message)


@settings(deadline=None)
@given(st.sampled_from(STAMPS), text)
def test_any_message_without_a_client_comes_back_whole(stamp: str, message: str) -> None:
    """Unless it looks like a stamp or a client itself."""
    if split(message) == Line("", "", message) and split(f"2026-11-23 20:40:09 {message}").message == message:
        assert split(f"{stamp} {message}" if stamp else message) == Line(stamp, "", message)


@settings(deadline=None)
@given(st.text(alphabet="/:.[]% 0123456789abcdefudptcp46-") | text)
def test_no_line_raises_and_no_character_is_lost(line: str) -> None:
    parts = split(line)
    assert " ".join(part for part in parts[:2] if part) + (" " if parts[0] or parts[1] else "") + parts[2] == line
    meaning(line)
    queue_kind(line)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*MEANINGS, "Message queue full", "x"]) | text), text)
def test_no_line_that_matters_is_passed_over(lines: list[str], prefix: str) -> None:
    """What `meaning` or `queue_kind` knows, `candidates` finds, each line once and in its order."""
    whole = [prefix + line for line in lines]
    batch = "".join(line + "\n" for line in whole).encode()
    found = [line.decode() for line in candidates(batch)]
    matter = [line for line, end in zip(whole, lines, strict=True) if meaning(end) or queue_kind(line)]
    remaining = iter(found)
    assert all(line in remaining for line in matter)
    assert len(found) <= len(whole)


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
    assert meaning(split(f"2026-11-23 20:40:09 {line}").message) is None
    assert meaning(split(line).message) is None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Message queue full", "full"),
        ("hook.sh: message queue 0x4f560001 is FULL, update dropped", "full"),
        ("2026-11-23 20:40:09 Message Queue: dropped status update", "dropped"),
        ("MESSAGE QUEUE DROPS an update", "dropped"),
        ("Message queue created", "other"),
        ("message queue: fullness 3%, dropper none", "other"),
        ("message queues are nice", None),
        ("MULTI: Outgoing TUN queue full, dropped packet len=1400", None),
    ],
)
def test_lines_about_message_queues(line: str, kind: str | None) -> None:
    """Anywhere in the line; full wins over dropped."""
    assert queue_kind(line) == kind
    assert kind is None or (kind in QUEUE_KINDS and candidates(line.encode() + b"\n") == [line.encode()])
