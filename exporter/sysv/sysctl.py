"""The kernel's limits on message queues, kernel.msg*, of this process's IPC namespace."""

import os
from pathlib import Path
from typing import Final, NamedTuple


class Limits(NamedTuple):
    """What `sysctl kernel.msgmnb kernel.msgmax kernel.msgmni` prints."""

    msgmnb: int  # bytes per queue, for queues created from now on
    msgmax: int  # bytes per message
    msgmni: int  # queues


class Recommended(NamedTuple):
    """What a profile recommends; None: nothing."""

    msgmnb: int
    msgmax: int
    msgmni: int | None


PROFILES: Final[dict[str, Recommended | None]] = {
    "small": Recommended(16384, 8192, None),
    "large": Recommended(65536, 16384, 32000),
    "none": None,
}


def read_limits(procfs: Path) -> Limits:
    """Read the three sysctls. Raise OSError if they are missing, ValueError if they are not numbers."""
    return Limits(*(_number(f"{procfs}/sys/kernel/{name}") for name in Limits._fields))


def _number(path: str) -> int:
    # Without a file object: those of three files took as long as reading a hundred queues.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return int(os.read(descriptor, 64))
    finally:
        os.close(descriptor)
