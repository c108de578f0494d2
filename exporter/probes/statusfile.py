"""Read a status file whole and untorn, although OpenVPN rewrites it in place."""

import os
import time
from errno import EFBIG
from pathlib import Path
from typing import Final, NamedTuple

from exporter.files import open_regular
from exporter.openvpn.status import HEAD, read_time

_MAX_SIZE: Final = 64 * 1024 * 1024  # bytes; 20,000 clients take 5
_SETTLED: Final = 0.1  # seconds without a write: OpenVPN writes one update within milliseconds
_TRIES: Final = 5


class Reading(NamedTuple):
    """The content, and whether it is consistent: nothing was written before, between and after the reads."""

    data: bytes
    settled: bool


def read_whole(path: Path) -> Reading:
    """Return the file, read again for half a second while it is being written. Raise OSError."""
    for _ in range(_TRIES):
        reading = _read(path)
        if reading.settled:
            break
        time.sleep(_SETTLED)
    return reading


def current_time(path: Path, now: float) -> float | None:
    """Return the time inside the file, from its head; None if it has none. Raise OSError."""
    descriptor = open_regular(path)
    try:
        return read_time(os.read(descriptor, HEAD), now)
    finally:
        os.close(descriptor)


def signature(path: Path) -> tuple[int, ...]:
    """Return what changes with every write to the file, or when another file takes its place. Raise OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> Reading:
    descriptor = open_regular(path)
    try:
        before = os.fstat(descriptor)
        begin = time.time()
        parts = []
        size = 0
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
            size += len(part)
            if size > _MAX_SIZE:
                raise OSError(EFBIG, f"larger than {_MAX_SIZE >> 20} MiB; is it a status file?", str(path))
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    # An mtime in the future, because the clock was set back, proves nothing: then the two stats must do.
    quiet = not 0 <= begin - before.st_mtime < _SETTLED
    return Reading(b"".join(parts), same and quiet)
