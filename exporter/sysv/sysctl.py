"""The kernel's limits on message queues, kernel.msg*, of this process's IPC namespace."""

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
    kernel = procfs / "sys" / "kernel"
    return Limits(*(int((kernel / name).read_text()) for name in Limits._fields))
