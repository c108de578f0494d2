"""The grammar of OpenVPN's messages."""

import tracemalloc

import pytest

from exporter.openvpn.found import QUEUE_KINDS, queue_kind
from exporter.openvpn.messages import (
    DROPS,
    EVENTS,
    HOOKS,
    POSSIBLE_FAILURES,
    SCRIPT_REASONS,
    Drop,
    Event,
    Failure,
    ends_with_message,
    meaning,
    possible_failures,
)
from tests.support.meanings import FAILED, MEANINGS


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


def test_of_known_scripts_only_their_failures_are_foreseen() -> None:
    """The log calls up and down by one name; a server without scripts still has a failure that never came."""
    assert possible_failures(None) == POSSIBLE_FAILURES
    assert possible_failures(frozenset()) == (Failure("plugin", "plugin"),)
    assert {failure.hook for failure in possible_failures(frozenset({"down", "tls-verify"}))} == {
        "up-down",
        "tls-verify",
        "plugin",
    }


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


def test_long_messages_are_not_remembered() -> None:
    """A script may print lines of any length: memory must not grow with them."""
    tracemalloc.start()
    try:
        for number in range(100):
            assert meaning(f"TLS Error: {number:0100000}") == Event("tls_error")
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
