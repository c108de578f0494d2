"""The file that OpenVPN's --status writes, in the versions 1, 2 and 3."""

import re
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

HEAD: Final = 4096  # bytes that surely hold the time, which stands in the second line

_SERVER_V1: Final = b"OpenVPN CLIENT LIST"
_NO_SERVER: Final = b"OpenVPN STATISTICS"
_TITLE: Final = re.compile(rb"TITLE([,\t])")
_TIME_V1: Final = re.compile(rb"Updated,(.{1,64})")
_TIME: Final = re.compile(rb"TIME([,\t]).{1,64}\1([0-9]{1,12})")
# 2.5 and later, and what ctime(3) made of it before; both in the server's local time.
_FORMS_V1: Final = ("%Y-%m-%d %H:%M:%S", "%a %b %d %H:%M:%S %Y")


class Whole(Enum):
    """How much of a status file there is."""

    WHOLE = "whole"
    TORN = "torn"  # it ends before its END, or a row is cut short
    EMPTY = "empty"
    FOREIGN = "foreign"  # it never was a status file


class Status(NamedTuple):
    """What a status file says; None is what it does not."""

    whole: Whole
    time: float | None = None  # seconds since 1970
    clients: int | None = None  # with a name: OpenVPN lists who has not authenticated yet as UNDEF


def read_status(data: bytes, now: float) -> Status:
    """The file's whole content; what follows the first END is a remainder of an older, longer one.

    `now` settles an hour that the clock of version 1 shows twice. Never raises.
    """
    if not data:
        return Status(Whole.EMPTY)
    lines = data.split(b"\n")
    last = lines.pop()  # b"" where the file ends in an end of line
    if last == b"END":
        lines.append(last)  # somebody's copy; else cut short
    if not lines:
        return Status(Whole.TORN if _could_begin(last) else Whole.FOREIGN)
    title = _TITLE.match(lines[0])
    if not title and lines[0] not in (_SERVER_V1, _NO_SERVER):
        return Status(Whole.FOREIGN)
    if len(lines) < 2:
        return Status(Whole.TORN)
    time = _time(lines[1], title[1] if title else None, now)
    if time is None:
        return Status(Whole.FOREIGN)
    try:
        del lines[lines.index(b"END") :]
        clients = None if lines[0] == _NO_SERVER else _count(lines, title[1] if title else None)
    except ValueError:
        return Status(Whole.TORN, time)
    return Status(Whole.WHOLE, time, clients)


def read_time(head: bytes, now: float) -> float | None:
    """The time alone, from the file's first HEAD bytes; None where they do not say it."""
    return read_status(head, now).time


def _could_begin(start: bytes) -> bool:
    return start.startswith(b"TITLE"[: len(start)]) or _SERVER_V1.startswith(start) or _NO_SERVER.startswith(start)


def _time(line: bytes, separator: bytes | None, now: float) -> float | None:
    if separator:
        match = _TIME.fullmatch(line)
        return float(match[2]) if match and match[1] == separator else None
    match = _TIME_V1.fullmatch(line)
    text = match[1].decode(errors="replace") if match else ""
    for form in _FORMS_V1:
        try:
            local = datetime.strptime(text, form)  # noqa: DTZ007  # the file has no zone
            times = [local.replace(fold=fold).timestamp() for fold in (0, 1)]
        except (ValueError, OverflowError, OSError):
            continue
        return min(times, key=lambda time: abs(now - time))
    return None


def _count(lines: list[bytes], separator: bytes | None) -> int:
    """Clients that have a name; ValueError where their list is not whole."""
    comma = separator or b","
    prefix = b"CLIENT_LIST" + comma if separator else b""
    before = b"HEADER" + comma + prefix if separator else b""
    behind = b"HEADER" + comma + b"ROUTING_TABLE" + comma if separator else b"ROUTING TABLE"
    columns = None
    clients = 0
    for line in lines[2:]:
        if columns is None:
            if line.startswith(before + b"Common Name" + comma):
                columns = line.removeprefix(before).count(comma)
        elif line == behind or (separator and line.startswith(behind)):
            return clients
        elif not line.startswith(prefix) or line.removeprefix(prefix).count(comma) < columns:
            raise ValueError("a row is cut short")
        else:
            clients += not line.startswith(prefix + b"UNDEF" + comma)
    raise ValueError("the list does not end")
