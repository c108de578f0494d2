"""OpenVPN's messages that matter: their grammar, and what each one means.

A message is what follows the prefix of a log line (see logline.py). These are the messages of OpenVPN 2.4 to 2.7
(src/openvpn: run_command.c, multi.c, plugin.c, error.c, mbuf.c, reflect_filter.c, ssl.c, ssl_verify.c).

Nothing that a client or a script can say may pass for a message: a message is matched from its first character to its
last. If OpenVPN puts words of the client at the end (after "TLS Error: "), only the start is fixed.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

HOOKS: Final = (
    "client-connect",
    "client-disconnect",
    "learn-address",
    "auth-user-pass-verify",
    "tls-verify",
    "tls-crypt-v2-verify",
    "client-crresponse",
    "route-up",
    "up-down",
    "ipchange",
    "dns-updown",
)
OTHER: Final = "other"  # a hook or a reason that this module does not know
PLUGIN: Final = "plugin"  # the hook of a plugin function that is none of HOOKS; the reason of every plugin
SCRIPT_REASONS: Final = ("exit_status", "not_executable", "signal", "script_security", "fork_failed")
EVENTS: Final = (
    "max_clients",
    "connect_freq",
    "connect_freq_initial",
    "pool_exhausted",
    "tls_error",
    "auth_failed",
    "fatal_exit",
    "learn_failed",
)
DROPS: Final = ("output_saturation", "mbuf", "tun_queue", "handshake_rate")

_OPEN_ENDED: Final = ("tls_error", "auth_failed", "connect_freq_initial", "learn_failed")


class Failure(NamedTuple):
    """A script or plugin that failed, according to OpenVPN."""

    hook: str  # of HOOKS, or OTHER, or PLUGIN
    reason: str  # of SCRIPT_REASONS, or "deferred", PLUGIN, OTHER


class Event(NamedTuple):
    """Trouble that is not a script's failure."""

    event: str  # of EVENTS


class Drop(NamedTuple):
    """Packets that OpenVPN dropped."""

    reason: str  # of DROPS
    packets: int


class Suppressed(NamedTuple):
    """Lines that --mute left out."""

    lines: int


class Notice(NamedTuple):
    """A message that counts as nothing, but that only OpenVPN writes."""

    started: bool  # the first line of a process


Meaning = Failure | Event | Drop | Suppressed | Notice

_HOOK: Final = {f"--{hook}": hook for hook in HOOKS} | {
    "--up/--down": "up-down",
    "--tls-verify script": "tls-verify",
    "dns updown": "dns-updown",
}
_REASON: Final = (
    ("external program exited with error status: ", "exit_status"),
    ("could not execute external program", "not_executable"),
    ("external program did not exit normally", "signal"),
    ("disallowed by script-security setting", "script_security"),
    ("external program fork failed", "fork_failed"),
)
_PLUGIN_HOOK: Final = {
    "PLUGIN_UP": "up-down",
    "PLUGIN_DOWN": "up-down",
    "PLUGIN_ROUTE_UP": "route-up",
    "PLUGIN_IPCHANGE": "ipchange",
    "PLUGIN_TLS_VERIFY": "tls-verify",
    "PLUGIN_CLIENT_CONNECT": "client-connect",
    "PLUGIN_CLIENT_CONNECT_V2": "client-connect",
    "PLUGIN_CLIENT_CONNECT_DEFER": "client-connect",
    "PLUGIN_CLIENT_CONNECT_DEFER_V2": "client-connect",
    "PLUGIN_CLIENT_DISCONNECT": "client-disconnect",
    "PLUGIN_LEARN_ADDRESS": "learn-address",
    "PLUGIN_CLIENT_CRRESPONSE": "client-crresponse",
}

_NOT_ON_A_SERVER: Final = ("ipchange", "dns-updown")  # options that OpenVPN refuses in server mode, or only clients use

# Every failure that a server can report, so that each can exist at 0 before the first.
POSSIBLE_FAILURES: Final = (
    *(Failure(hook, reason) for hook in HOOKS if hook not in _NOT_ON_A_SERVER for reason in SCRIPT_REASONS),
    *(Failure(hook, PLUGIN) for hook in dict.fromkeys(_PLUGIN_HOOK.values()) if hook not in _NOT_ON_A_SERVER),
    Failure("client-connect", "deferred"),
    Failure(PLUGIN, PLUGIN),
)


def possible_failures(hooks: frozenset[str] | None) -> tuple[Failure, ...]:
    """Return which of POSSIBLE_FAILURES a server can report that has scripts or plugins at these hooks only.

    A server without any still has one, so that its failures are 0 rather than unknown.
    """
    if hooks is None:
        return POSSIBLE_FAILURES
    logged = {"up-down" if hook in ("up", "down") else hook for hook in hooks} | {PLUGIN}
    return tuple(failure for failure in POSSIBLE_FAILURES if failure.hook in logged)


_MESSAGE: Final = re.compile(
    r"""
      WARNING:\ Failed\ running\ command\ \((?P<hook>[^()]*)\):\ (?P<reason>[a-z -]+(?::\ -?[0-9]+)?)
    | WARNING:\ Failed\ running\ (?P<updown>dns\ updown):\ (?P<updown_reason>[a-z -]+(?::\ -?[0-9]+)?)
    | PLUGIN_CALL:\ plugin\ function\ (?P<function>[A-Z0-9_]+)\ failed\ with\ status\ -?[0-9]+:\ .*
    | MULTI:\ deferred\ --client-connect\ script\ returned\ CC_RET_(?P<deferred>FAILED)
    | (?P<suppressed>[0-9]{1,15})\ variation\(s\)\ on\ previous\ [0-9]+\ message\(s\)\ suppressed\ by\ --mute
    | (?P<max_clients>MULTI:\ new\ incoming\ connection\ would\ exceed\ maximum\ number\ of\ clients\ \([0-9]+\))
    | (?P<connect_freq>MULTI:\ Connection\ from\ .*\ would\ exceed\ new\ connection\ frequency\ limit\ as
        \ controlled\ by\ --connect-freq)
    | (?P<connect_freq_initial>Note:\ --connect-freq-initial\ .*\ rate\ limit\ exceeded.*)
    | (?P<pool_exhausted>MULTI:\ no\ free\ --ifconfig-pool\ addresses\ are\ available)
    | (?P<tls_error>TLS\ Error:\ .*)
    | (?P<auth_failed>TLS\ Auth\ Error:\ .*)
    | (?P<fatal_exit>Exiting\ due\ to\ fatal\ error)
    | (?P<learn_failed>MULTI:\ Learn\ FAILED:\ .*)
    | (?P<output_saturation>MULTI:\ packet\ dropped\ due\ to\ output\ saturation\ \([a-z_]+\))
    | (?P<mbuf>MBUF:\ mbuf\ packet\ dropped)
    | (?P<tun_queue>MULTI:\ Outgoing\ TUN\ queue\ full,\ dropped\ packet\ len=[0-9]+)
    | Dropped\ (?P<handshake_rate>[0-9]{1,15})\ initial\ handshake\ packets\ due\ to\ --connect-freq-initial\ .*
    | (?P<started>OpenVPN\ [0-9]+\.[0-9][^ ]*\ [^ ]+(?:\ \[.*)?)
    | (?P<notice>Initialization\ Sequence\ Completed|\[.*\]\ Peer\ Connection\ Initiated\ with\ \[AF_INET6?\][^ ]+)
    """,
    re.VERBOSE,
)
_FIRST_WORDS: Final = re.compile(
    r"(?<![^ :>|\])}])(?:WARNING: Failed|PLUGIN_CALL:|MULTI: |MBUF: |Exiting due|Initialization Seq|\[)"
)

_MAX_REMEMBERED: Final = 512  # characters; a script may print lines of any length


def meaning(message: str) -> Meaning | None:
    """Return what a message says, without the prefix of its line; None if it is none of those that matter."""
    return _remembered(message) if len(message) <= _MAX_REMEMBERED else _meaning(message)


def _meaning(message: str) -> Meaning | None:
    match = _MESSAGE.fullmatch(message)
    if not match:
        return None
    kind = match.lastgroup
    text = match[kind] if kind else ""
    match kind:
        case "reason":
            return Failure(_HOOK.get(match["hook"], OTHER), _reason(text))
        case "updown_reason":
            return Failure("dns-updown", _reason(text))
        case "function":
            # A plugin that refuses a password says so with the same status as one that could not check it.
            return None if text == "PLUGIN_AUTH_USER_PASS_VERIFY" else Failure(_PLUGIN_HOOK.get(text, PLUGIN), PLUGIN)
        case "deferred":
            return Failure("client-connect", "deferred")
        case "suppressed":
            return Suppressed(int(text))
        case "handshake_rate":
            return Drop("handshake_rate", int(text))
        case "output_saturation" | "mbuf" | "tun_queue":
            return Drop(kind, 1)
        case "started" | "notice":
            return Notice(started=kind == "started")
        case _:
            return Event(str(kind))


_remembered: Final = lru_cache(maxsize=256)(_meaning)  # scripts fail in the same words again and again


def ends_with_message(line: str) -> bool:
    """Return whether a line ends with a message of fixed wording, whatever precedes it."""
    for match in _FIRST_WORDS.finditer(line):
        found = meaning(line[match.start() :])
        if found and not (isinstance(found, Event) and found.event in _OPEN_ENDED):
            return True
    return False


def _reason(text: str) -> str:
    return next((reason for words, reason in _REASON if text.startswith(words)), OTHER)
