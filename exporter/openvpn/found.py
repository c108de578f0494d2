"""What is found in a log: lines that mean something, and those of any program that speak of a message queue."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.openvpn.logline import split
from exporter.openvpn.messages import OTHER, Meaning

QUEUE_KINDS: Final = ("full", "dropped", OTHER)
_QUEUE_HINTS: Final = ("essage queue", "essage Queue", "ESSAGE QUEUE")
_QUEUE: Final = re.compile(r"\b(?:[Mm]essage [Qq]ueue|MESSAGE QUEUE)\b")
_FULL: Final = re.compile(r"\bfull\b", re.IGNORECASE)
_DROPPED: Final = re.compile(r"\bdrop(?:s|ped|ping)?\b", re.IGNORECASE)


class QueueLine(NamedTuple):
    """A line, of OpenVPN or of a script, that speaks of a message queue."""

    kind: str  # of QUEUE_KINDS


class Unread(NamedTuple):
    """A line with OpenVPN's own text behind a prefix that is not known."""

    line: str


class Found(NamedTuple):
    """What a line means, and for how many such lines it stands."""

    meaning: Meaning | QueueLine | Unread
    times: int = 1


def queue_kind(line: str) -> str | None:
    """Return which of QUEUE_KINDS a line is that speaks of a "Message queue" anywhere; None if it does not.

    Scripts print such lines, in their own words.
    """
    if not _QUEUE.search(line):
        return None
    if _FULL.search(line):
        return "full"
    return "dropped" if _DROPPED.search(line) else OTHER


def queue_lines(text: str) -> list[Found]:
    """Return the lines of OpenVPN or of scripts that speak of a message queue."""
    return [
        Found(QueueLine(kind), split(line).times if "message repeated" in line else 1)
        for line in lines_with(_QUEUE_HINTS, text)
        if (kind := queue_kind(line))
    ]


def lines_with(hints: Sequence[str], text: str) -> list[str]:
    """Return each line that contains one of the hints, in their order; `text` is whole lines."""
    found = set()
    for hint in hints:
        at = text.find(hint)
        while at >= 0:
            end = text.index("\n", at)
            found.add((text.rfind("\n", 0, at) + 1, end))
            at = text.find(hint, end)
    return [text[start:end] for start, end in sorted(found)]
