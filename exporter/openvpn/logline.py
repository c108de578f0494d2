"""OpenVPN's log: what stands before a message, and what the messages that matter mean.

A line is STAMP CLIENT MESSAGE. The stamp depends on where the line went (a file, a machine-readable file, syslog), and
is missing under --suppress-timestamps and in the journal. The client is an address, or a name with an address, where
the message is of one client. The messages are those of OpenVPN 2.4 to 2.7 (src/openvpn: run_command.c, multi.c,
plugin.c, error.c, mbuf.c, reflect_filter.c, ssl.c, ssl_verify.c).

What a client or a script can say must not pass for a message: a message is taken from its first character to its last,
so that nothing in the midst of one counts. Where OpenVPN puts words of the client at the end (after "TLS Error: "),
only the beginning is fixed.
"""

import re
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
PLUGIN: Final = "plugin"  # the hook of a plugin's function that is none of HOOKS; the reason of every plugin
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
QUEUE_KINDS: Final = ("full", "dropped", OTHER)


class Line(NamedTuple):
    """A line in its parts; a part that it does not have is empty. Put together with spaces, they are the line."""

    stamp: str
    client: str
    message: str


class Failure(NamedTuple):
    """A script or plugin that OpenVPN says has failed."""

    hook: str  # of HOOKS, or OTHER, or PLUGIN
    reason: str  # of SCRIPT_REASONS, or "deferred", PLUGIN, OTHER


class Event(NamedTuple):
    """Trouble that is not a script's failure."""

    event: str  # of EVENTS


class Drop(NamedTuple):
    """Packets that OpenVPN says it has dropped."""

    reason: str  # of DROPS
    packets: int


class Suppressed(NamedTuple):
    """Lines that --mute has left out."""

    lines: int


Meaning = Failure | Event | Drop | Suppressed

_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_DAY = r"[A-Z][a-z]{2} [ 0-9][0-9]"  # Nov 23
_TAG = r"[^ ]+ [^ ]+?(?:\[[0-9]+\])?: "  # host ovpn-server[123]:
_SYSLOG = rf"(?:{_DAY} {_TIME}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[^ ]+) {_TAG}"
_DATE = rf"(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {_TIME}|[A-Z][a-z]{{2}} {_DAY} {_TIME} [0-9]{{4}}) (?:us=[0-9]+ )?"
_MACHINE = r"[0-9]{1,19}\.[0-9]{6} [0-9a-f]{1,8} "
_STAMP: Final = re.compile(rf"(?:{_SYSLOG})?(?:{_DATE}|{_MACHINE})?")
STAMPED: Final = rf"(?:{_SYSLOG}|{_DATE}|{_MACHINE})".encode()  # how a line begins that has a stamp

_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IPV6 = rf"(?:[0-9a-fA-F]{{0,4}}:){{2,7}}(?:{_IPV4}|[0-9a-fA-F]{{0,4}})(?:%[^ /\]]+)?"
_ADDRESS = rf"(?:(?:udp|tcp)[46]?(?:-[a-z]+)?:)?(?:{_IPV4}(?::[0-9]{{1,5}})?|\[{_IPV6}\](?::[0-9]{{1,5}})?|{_IPV6})"
_CLIENT: Final = re.compile(rf"{_ADDRESS}(?= )")

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
    """,
    re.VERBOSE,
)

# Words of which each message that `meaning` knows has one, and each line that `queue_kind` knows. Looking for one after
# the other in a whole batch is several times faster than one regular expression for them all.
_HINTS: Final = (
    b"Failed running ",
    b"PLUGIN_CALL: plugin ",
    b"FAILED",
    b" --",
    b"Error: ",
    b"Exiting due ",
    b"would exceed ",
    b"dropped",
    b"essage queue",
    b"essage Queue",
    b"ESSAGE QUEUE",
)
_QUEUE: Final = re.compile(r"\b(?:[Mm]essage [Qq]ueue|MESSAGE QUEUE)\b")
_FULL: Final = re.compile(r"\bfull\b", re.IGNORECASE)
_DROPPED: Final = re.compile(r"\bdrop(?:s|ped|ping)?\b", re.IGNORECASE)


def candidates(batch: bytes) -> list[bytes]:
    """Of whole lines, each ending with a newline, those that may matter, in their order, without their newlines."""
    found = set()
    for hint in _HINTS:
        at = batch.find(hint)
        while at >= 0:
            end = batch.index(b"\n", at)
            found.add((batch.rfind(b"\n", 0, at) + 1, end))
            at = batch.find(hint, end)
    return [batch[start:end] for start, end in sorted(found)]


def split(line: str) -> Line:
    """A line, without its newline, in its parts. Any text is a line."""
    stamp = _STAMP.match(line)
    at = start = stamp.end() if stamp else 0
    # The client ends with the first address that stands alone or after a slash: a user name may hold spaces, and
    # whatever comes after the true address is the message's.
    while not (client := _CLIENT.match(line, at)):
        at = line.find("/", at) + 1
        if not at:
            return Line(line[: max(0, start - 1)], "", line[start:])
    return Line(line[: max(0, start - 1)], line[start : client.end()], line[client.end() + 1 :])


def meaning(message: str) -> Meaning | None:
    """What a message of OpenVPN says, without its stamp and client; None where it is none of those that matter."""
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
        case _:
            return Event(str(kind))


def _reason(text: str) -> str:
    return next((reason for words, reason in _REASON if text.startswith(words)), OTHER)


def queue_kind(line: str) -> str | None:
    """Of QUEUE_KINDS, where a line speaks of a "Message queue" anywhere; scripts print what they like, as they like."""
    if not _QUEUE.search(line):
        return None
    if _FULL.search(line):
        return "full"
    return "dropped" if _DROPPED.search(line) else OTHER
