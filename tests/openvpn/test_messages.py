"""The grammar of OpenVPN's messages."""

import pytest

from exporter.openvpn.messages import (
    DROPS,
    EVENTS,
    HOOKS,
    POSSIBLE_FAILURES,
    QUEUE_KINDS,
    SCRIPT_REASONS,
    Drop,
    Event,
    Failure,
    Meaning,
    Notice,
    Suppressed,
    ends_with_message,
    meaning,
    queue_kind,
)

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
    "Initialization Sequence Completed": Notice(started=False),
    "[alice] Peer Connection Initiated with [AF_INET]192.0.2.1:5": Notice(started=False),
    "[] Peer Connection Initiated with [AF_INET6]2001:db8::1:5": Notice(started=False),
    "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]": Notice(started=True),
    "OpenVPN 2.7_rc2 x86_64-pc-linux-gnu": Notice(started=True),
    "OpenVPN is nice": None,
    "peer info: IV_PLAT=linux": None,
    "": None,
}


@pytest.mark.parametrize("message", MEANINGS)
def test_what_each_message_means(message: str) -> None:
    assert meaning(message) == MEANINGS[message]


def test_every_value_of_a_label_is_reached() -> None:
    """No hook, reason, event or drop is promised that no message gives."""
    meanings = [value for value in MEANINGS.values() if value]
    failures = [value for value in meanings if isinstance(value, Failure)]
    assert {failure.hook for failure in failures} == {*HOOKS, "other", "plugin"}
    assert {failure.reason for failure in failures} == {*SCRIPT_REASONS, "deferred", "plugin", "other"}
    assert {value.event for value in meanings if isinstance(value, Event)} == set(EVENTS)
    assert {value.reason for value in meanings if isinstance(value, Drop)} == set(DROPS)


def test_failures_that_are_foreseen_are_those_that_a_server_can_report() -> None:
    """No deferred answer of any other hook, no hook that server mode refuses, no plugin for a hook that has none."""
    hooks = {failure.hook for failure in POSSIBLE_FAILURES}
    assert hooks == {*HOOKS, "plugin"} - {"ipchange", "dns-updown"}
    assert [failure.hook for failure in POSSIBLE_FAILURES if failure.reason == "deferred"] == ["client-connect"]
    assert Failure("auth-user-pass-verify", "plugin") not in POSSIBLE_FAILURES
    assert Failure("client-connect", "plugin") in POSSIBLE_FAILURES
    assert len(set(POSSIBLE_FAILURES)) == len(POSSIBLE_FAILURES)


@pytest.mark.parametrize("before", ["", "? 192.0.2.1:5 ", "vpn>", "[x] "])
def test_a_message_at_the_end_of_a_line(before: str) -> None:
    """Whatever precedes it; messages that end in a client's words, and texts in the midst of a line, are none."""
    assert ends_with_message(f"{before}{FAILED} (--client-connect): external program exited with error status: 3")
    assert ends_with_message(f"{before}Initialization Sequence Completed")
    assert ends_with_message(f"{before}[alice] Peer Connection Initiated with [AF_INET]192.0.2.1:5")
    assert not ends_with_message(f"{before}TLS Error: {FAILED}")
    assert not ends_with_message(f"{before}{FAILED} (--client-connect): external program fork failed'")
    assert not ends_with_message(f"{before}x{FAILED} (--client-connect): external program fork failed")


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
    assert kind is None or kind in QUEUE_KINDS
