"""The file that OpenVPN's --status writes, in the versions 1, 2 and 3. Pure: bytes in, time and clients out."""

import re
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

HEAD: Final = 4096  # bytes that certainly include the time, which is in the second line

_SERVER_V1: Final = b"OpenVPN CLIENT LIST"
_NO_SERVER: Final = b"OpenVPN STATISTICS"
_TITLE: Final = re.compile(rb"TITLE([,\t])")
_TIME_V1: Final = re.compile(rb"Updated,(.{1,64})")
_TIME: Final = re.compile(rb"TIME([,\t]).{1,64}\1([0-9]{1,12})")
# 2.5 and later, and ctime(3) before; both in the server's local time.
_FORMS_V1: Final = ("%Y-%m-%d %H:%M:%S", "%a %b %d %H:%M:%S %Y")


class Completeness(Enum):
    """How much of a status file there is."""

    COMPLETE = "complete"
    TORN = "torn"  # it ends before its END, or a row is cut off
    EMPTY = "empty"
    FOREIGN = "foreign"  # it is not a status file


class Status(NamedTuple):
    """The content of a status file; None is what it does not contain."""

    completeness: Completeness
    time: float | None = None  # seconds since 1970
    clients: int | None = None  # that have a name; OpenVPN lists those that have none yet as UNDEF


def read_status(data: bytes, now: float) -> Status:
    """Parse the whole content of a file; what follows the first END is left from an older, longer one.

    `now` resolves an hour that the local time of version 1 has twice. Never raises.
    """
    if not data:
        return Status(Completeness.EMPTY)
    lines = data.split(b"\n")
    last = lines.pop()  # b"" if the file ends with a newline
    if last == b"END":
        lines.append(last)  # a copy without the last newline; anything else is cut off
    if not lines:
        return Status(Completeness.TORN if _could_begin(last) else Completeness.FOREIGN)
    title = _TITLE.match(lines[0])
    if not title and lines[0] not in (_SERVER_V1, _NO_SERVER):
        return Status(Completeness.FOREIGN)
    if len(lines) < 2:
        return Status(Completeness.TORN)
    time = _time(lines[1], title[1] if title else None, now)
    if time is None:
        return Status(Completeness.FOREIGN)
    try:
        del lines[lines.index(b"END") :]
        clients = None if lines[0] == _NO_SERVER else _count(lines, title[1] if title else None)
    except ValueError:
        return Status(Completeness.TORN, time)
    return Status(Completeness.COMPLETE, time, clients)


def read_time(head: bytes, now: float) -> float | None:
    """Return the time alone, from the file's first HEAD bytes; None if they have none."""
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
    """Count the clients that have a name. Raise ValueError if their list is not complete."""
    comma = separator or b","
    prefix = b"CLIENT_LIST" + comma if separator else b""
    before = b"HEADER" + comma + prefix if separator else b""
    behind = b"HEADER" + comma + b"ROUTING_TABLE" + comma if separator else b"ROUTING TABLE"
    columns = None
    addresses: list[int] = []
    clients = 0
    for line in lines[2:]:
        if columns is None:
            if line.startswith(before + b"Common Name" + comma):
                titles = line.removeprefix(before).split(comma)
                columns = len(titles) - 1
                addresses = [index for index, title in enumerate(titles) if title.startswith(b"Virtual ")]
        elif line == behind or (separator and line.startswith(behind)):
            return clients
        elif not line.startswith(prefix) or line.removeprefix(prefix).count(comma) < columns:
            raise ValueError("a row is cut off")
        else:
            clients += not _is_unnamed(line.removeprefix(prefix).split(comma), addresses)
    raise ValueError("the list does not end")


def _is_unnamed(cells: list[bytes], addresses: list[int]) -> bool:
    """Return whether it has no name yet, and so no address in the VPN either; version 1 shows no addresses."""
    return cells[0] == b"UNDEF" and not any(cells[index] for index in addresses)
