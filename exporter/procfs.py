"""Tell from /proc whether a recorded process is still running, and which namespaces /proc shows."""

import contextlib
import os
from pathlib import Path
from typing import Final

_START_TIME: Final = 19  # the index of starttime in /proc/PID/stat, counted from behind the name


def is_gone(procfs: Path, pid: int, start_ticks: int | None, namespace: int | None) -> bool:
    """Return True only if the process is certainly gone; False if it runs or that cannot be determined.

    `start_ticks` (clock ticks after boot) tells it from a later process of the same pid. `namespace` is the inode of
    the pid namespace in which the pid was recorded: processes of another one may not be visible here.
    """
    try:
        stat = (procfs / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return namespace in _visible_pid_namespaces(procfs)
    except OSError:
        return False
    if start_ticks is None or _start_ticks(stat) == start_ticks:
        return False
    return namespace in _visible_pid_namespaces(procfs)


def is_running(procfs: Path, pid: int, start_ticks: int | None) -> bool:
    """Return True only if a process with this pid runs that started at that clock tick after boot."""
    try:
        return _start_ticks((procfs / str(pid) / "stat").read_text(errors="replace")) == start_ticks
    except OSError:
        return False


def exists(procfs: Path, pid: int) -> bool | None:
    """Return whether there is a process or thread with this id; None if /proc hides those of others (hidepid)."""
    if Path(procfs, str(pid)).exists():
        return True
    return False if shows_others(procfs) else None


def shows_others(procfs: Path) -> bool:
    """Return whether this /proc shows other users' processes; with hidepid they look as if they were gone."""
    return Path(procfs, "1").exists()


def hides_others(procfs: Path) -> bool:
    """Return whether other users' processes cannot be read (hidepid), be they not shown at all, or shown and closed."""
    return not os.access(Path(procfs, "1"), os.X_OK, effective_ids=True)


def own_ipc_namespace() -> int:
    """Return the inode that identifies the IPC namespace of this process."""
    return os.stat("/proc/self/ns/ipc").st_ino


def _start_ticks(stat: str) -> int:
    # The name, in parentheses, may contain anything.
    return int(stat.rpartition(")")[2].split()[_START_TIME])


def _visible_pid_namespaces(procfs: Path) -> set[int]:
    """Return the pid namespaces all of whose processes are visible in `procfs`."""
    if not shows_others(procfs):
        return set()
    found = set()
    for process in ("self", "1"):
        with contextlib.suppress(OSError):  # only its owner and root can see pid 1's
            found.add((procfs / process / "ns" / "pid").stat().st_ino)
    return found
