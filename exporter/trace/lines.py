"""Parse the lines that `bpftrace -f json` prints. Pure: bytes in, values out."""

import json
from typing import Final, NamedTuple

_MAX: Final = 1 << 64  # counters of the kernel are 64 bits wide


class Scalar(NamedTuple):
    """A map without keys, such as @session."""

    name: str
    value: int


class Table(NamedTuple):
    """A map by msqid, such as @received; complete, as it was at one moment."""

    name: str
    values: dict[int, int]


class Lost(NamedTuple):
    """bpftrace lost so many of its own messages, prints among them."""

    events: int


class GarbledError(Exception):
    """The line is not what bpftrace prints: cut off, or mixed with something else."""


def parse_line(line: bytes) -> Scalar | Table | Lost | None:
    """Parse a line; return None if it holds no counts. Raise GarbledError."""
    if not line.strip():
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise GarbledError from None
    match record:
        case {"type": "map", "data": dict(data)} if len(data) == 1:
            ((name, value),) = data.items()
            return _map(name.removeprefix("@"), value)
        case {"type": "lost_events", "data": {"events": events}}:
            return Lost(_number(events))
        case {"type": str()}:
            return None
    raise GarbledError


def _map(name: str, value: object) -> Scalar | Table | None:
    if not isinstance(value, dict):
        # A map of another kind, such as one of tuples, is printed when bpftrace ends.
        return Scalar(name, _number(value)) if isinstance(value, int) else None
    if not all(isinstance(cell, int) for cell in value.values()):
        return None
    try:
        return Table(name, {int(msqid): _number(cell) for msqid, cell in value.items()})
    except ValueError:
        raise GarbledError from None


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MAX:
        raise GarbledError
    return value


class LineSplitter:
    """Assembles lines from pieces, in bounded memory."""

    def __init__(self, max_length: int = 1 << 24) -> None:
        """`max_length`: bytes; 32,000 queues in one line take less than 1 MB."""
        self._max_length = max_length
        self._rest = b""

    def split(self, piece: bytes) -> list[bytes]:
        """Return the lines that are complete now; one that is too long in parts, none of which will parse."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > self._max_length:
            lines.append(self._rest)
            self._rest = b""
        return lines
