"""Whether a process that somebody wrote down is still there."""

import contextlib
from pathlib import Path
from typing import Final

_STARTED: Final = 19  # the place of starttime in /proc/PID/stat, counted behind the name


def gone(procfs: Path, pid: int, start_ticks: int | None, namespace: int | None) -> bool:
    """Whether it is known to be gone: False where it runs, and where that cannot be known.

    `start_ticks` (clock ticks after boot) tells it from a later process of the same pid. `namespace` is the inode of
    the pid namespace in which the pid was read: processes of another one may not be seen here.
    """
    try:
        stat = (procfs / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return namespace in _visible(procfs)
    except OSError:
        return False
    return start_ticks is not None and _began(stat) != start_ticks and namespace in _visible(procfs)


def there(procfs: Path, pid: int, start_ticks: int | None) -> bool:
    """Whether it is known to run: a process of this pid that began at that clock tick after boot."""
    try:
        return _began((procfs / str(pid) / "stat").read_text(errors="replace")) == start_ticks
    except OSError:
        return False


def _began(stat: str) -> int:
    # The name, in parentheses, may hold anything.
    return int(stat.rpartition(")")[2].split()[_STARTED])


def _visible(procfs: Path) -> set[int]:
    """The pid namespaces whose processes are all seen in `procfs`."""
    if not (procfs / "1").exists():
        return set()  # mounted with hidepid: other users' processes look as if they were gone
    found = set()
    for process in ("self", "1"):
        with contextlib.suppress(OSError):  # pid 1's is for its owner and root to see
            found.add((procfs / process / "ns" / "pid").stat().st_ino)
    return found
