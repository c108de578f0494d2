"""The prefix of a log line: what stands before OpenVPN's message.

    CARRIER STAMP CLIENT MESSAGE

The carrier was put there by whatever took the line from OpenVPN to the file: a syslog daemon, journalctl, a container
runtime, a supervisor. The stamp is OpenVPN's own and missing with --suppress-timestamps and in syslog. The client is an
address, or a name with an address, if the message is about one client. Each part may be missing.
"""

import json
import re
from typing import Final, NamedTuple


class Line(NamedTuple):
    """A line in its parts; a part that is missing is empty."""

    carrier: str  # with its trailing space
    tag: str  # of syslog: the program's name in the carrier
    stamp: str
    client: str
    message: str
    times: int = 1  # for how many messages the line stands (syslog's "message repeated N times")


_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DAY = r"[A-Z][a-z]{2}\ [ 0-9][0-9]"  # Nov 23
_ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"

_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IPV6 = rf"(?:[0-9a-fA-F]{{0,4}}:){{2,7}}(?:{_IPV4}|[0-9a-fA-F]{{0,4}})(?:%[^ /\]]+)?"
_ADDRESS = rf"(?:(?:udp|tcp)[46]?(?:-[a-z]+)?:)?(?:{_IPV4}(?::[0-9]{{1,5}})?|\[{_IPV6}\](?::[0-9]{{1,5}})?|{_IPV6})"
_CLIENT: Final = re.compile(rf"{_ADDRESS}(?= )")

# Of a syslog host only what can be neither a client nor a word of OpenVPN's, whose lines may have no host and no tag.
_HOST = rf"(?!{_IPV4}:[0-9]+\ )[^ /]+(?<!:)"
_FACILITY = r"[a-z0-9]+\.[a-z]+"  # daemon.notice
_PID = r"\[[0-9]+\]"
_WHEN = (
    rf"(?:{_DAY}\ {_TIME}(?:\.[0-9]{{1,6}})?"  # Nov 23 20:40:09
    rf"|{_DATE}T{_TIME}(?:[.,][0-9]{{1,6}})?{_ZONE}"
    rf"|[A-Z][a-z]{{2}}\ {_DATE}\ {_TIME}(?:\.[0-9]{{1,6}})?\ [A-Z+-][A-Za-z0-9+-]*)"  # Mon 2026-11-23 20:40:09 UTC
)
_CARRIER: Final = re.compile(
    rf"""
      {_DATE}T{_TIME}(?:\.[0-9]{{1,9}})?{_ZONE}\ (?:stdout|stderr)\ [FP](?::[^ ]*)?\   # CRI: podman, containerd
    | {_DATE}T{_TIME}\.[0-9]{{9}}{_ZONE}\                         # docker logs --timestamps
    | @journal\ [0-9]+\.[0-9]{{6}}\                               # what LogParser.feed puts there
    | @[0-9a-f]{{24}}\                                            # svlogd -t, multilog, s6-log
    | {_DATE}[_T]{_TIME}\.[0-9]{{5}}\                             # svlogd -tt, -ttt
    | {_DATE}\ {_TIME}\.[0-9]{{9}}\ \                             # s6-log T
    | [A-Za-z0-9][A-Za-z0-9_.-]*\ +\|\                            # docker compose logs
    | (?:<[0-9]{{1,3}}>)?1\ {_DATE}T[^ ]+\ [^ ]+\ (?P<rfc5424>[^ ]+)\ [^ ]+\ [^ ]+
        \ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?:\ \ ?\ufeff?|$)       # RFC 5424
    | [A-Z][a-z]{{2}}\ {_DAY}\ {_TIME}\ [0-9]{{4}}\ {_FACILITY}\ (?P<logread>[^ ]+?)(?:{_PID})?:\   # OpenWrt's logread
    | (?:<[0-9]{{1,3}}>)?{_WHEN}\ (?:                             # syslog daemons, BusyBox's too; journalctl -o short-*
          (?P<bare>[^ \[]+){_PID}:\                               # without a host: busybox syslogd -S
        | {_HOST}\ (?:{_FACILITY}\ )?(?: (?P<pid>[^ ]+?){_PID}:\  | (?P<plain>[a-z][^ ]*?):\  )
        | {_HOST}\ (?:{_FACILITY}\ )?(?P<spaced>[^\[\]:]{{1,64}}){_PID}:\  )
    | (?:\[\ *[0-9]+\.[0-9]{{6}}\]|[0-9]{{9,11}}\.[0-9]{{6}})\ {_HOST}\ (?P<short>[^ ]+?){_PID}:\   # -o short-unix
    """,
    re.VERBOSE,
)
_OWN_STAMP: Final = re.compile(
    rf"{_DATE} {_TIME} (?:us=[0-9]+ )?"
    rf"|[A-Z][a-z]{{2}} {_DAY} {_TIME} [0-9]{{4}} (?:us=[0-9]+ )?"  # before 2.5
    r"|[0-9]{1,19}\.[0-9]{6} [0-9a-f]{1,8} "  # machine-readable-output
)
_USUAL_STAMP: Final = re.compile(rf"{_DATE} {_TIME} ")  # no carrier starts so, which takes long to find out
_MAX_INSIDE: Final = 8
_REPEATED: Final = re.compile(r" ?message repeated ([0-9]{1,9}) times: \[ ?(.*)\]")
_LAST_REPEATED: Final = re.compile(rf"(?:<[0-9]{{1,3}}>)?{_WHEN} [^ ]+ last message repeated ([0-9]{{1,9}}) times")


def split(line: str) -> Line:
    """Return a line, without its newline, in its parts. Any text is a line."""
    if line.startswith('{"log":'):
        return _split_docker(line)
    match = None if _USUAL_STAMP.match(line) else _CARRIER.match(line)
    if not match:
        return _split_rest("", "", line)
    tag = match[match.lastgroup] if match.lastgroup else ""
    rest = line[match.end() :]
    repeated = _REPEATED.fullmatch(rest) if tag else None
    if repeated:
        return _split_rest(match[0], tag, repeated[2])._replace(times=int(repeated[1]))
    return _split_rest(match[0], tag, rest)


def split_inside(line: str) -> list[Line]:
    """Return the lines that may start inside of this one, at each stamp: its start is output that lacks a newline."""
    found: list[Line] = []
    match = _OWN_STAMP.search(line, 1)
    while match and len(found) < _MAX_INSIDE:
        found.append(_split_rest("", "", line[match.start() :]))
        match = _OWN_STAMP.search(line, match.end())
    return found


def times_repeated(line: str) -> int | None:
    """Return N of a syslog line "last message repeated N times", which stands for the line before; else None."""
    match = _LAST_REPEATED.fullmatch(line)
    return int(match[1]) if match else None


def _split_rest(carrier: str, tag: str, text: str) -> Line:
    stamp = _OWN_STAMP.match(text)
    start = at = stamp.end() if stamp else 0
    own_stamp = text[: max(0, start - 1)]
    # The client ends with the first address that stands alone or after a slash: a user name may hold spaces, and
    # whatever comes after the true address belongs to the message.
    while not (client := _CLIENT.match(text, at)):
        at = text.find("/", at) + 1
        if not at:
            return Line(carrier, tag, own_stamp, "", text[start:])
    return Line(carrier, tag, own_stamp, text[start : client.end()], text[client.end() + 1 :])


def _split_docker(line: str) -> Line:
    r"""Split a line of Docker's json-file: {"log": "...\n", "stream": "stdout", "time": "..."}."""
    try:
        text = json.loads(line)["log"]
    except (ValueError, KeyError, RecursionError):
        text = None
    if not isinstance(text, str):
        return _split_rest("", "", line)
    return _split_rest('{"log":', "", text.rstrip("\r\n"))
