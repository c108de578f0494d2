"""The OpenVPN processes of this host, from what /proc shows to everybody: comm, cmdline, cgroup and stat."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from exporter.discovery.units import Cgroup, parse_cgroup
from exporter.procfs import hides_others

# OpenVPN, and the same as OpenVPN Access Server calls it; not openvpn-mq-exporter, nor scripts named after a VPN.
_COMM: Final = re.compile(r"openvpn(?:-?[0-9][0-9.]*)?|openvpn-openssl")
# Options that print something or make a file or device, and end.
_SHORT_LIVED: Final = re.compile(r"--(?:version|help|genkey|mktun|rmtun|show-.*|test-crypto)")
_MAX_BYTES: Final = 1 << 17  # of one file in /proc; a command line can have as much


class Process(NamedTuple):
    """One OpenVPN."""

    pid: int
    start_ticks: int  # clock ticks after boot; tells it from a later process of the same pid
    argv: tuple[str, ...]
    cgroup: Cgroup
    folder: PurePosixPath | None  # it is in now; None if /proc does not show it to us


class HiddenError(Exception):
    """/proc shows only the processes of our own user."""


def find_processes(procfs: Path) -> list[Process]:
    """Return every OpenVPN, the longest running first, without the processes that it forks for itself.

    Raise HiddenError or OSError if the processes of other users cannot be seen.
    """
    if hides_others(procfs):
        raise HiddenError(f"{procfs} hides the processes of other users (hidepid)")
    found: dict[int, tuple[Process, int]] = {}
    for name in os.listdir(procfs):
        if name.isdigit():
            try:
                read = _read(procfs / name, int(name))
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
            if read:
                found[int(name)] = read
    # A child of the same name and words is OpenVPN's own fork: on its way to a script, or serving a plugin.
    chosen = [
        process for process, parent in found.values() if parent not in found or found[parent][0].argv != process.argv
    ]
    return sorted(chosen, key=lambda process: (process.start_ticks, process.pid))


def _read(folder: Path, pid: int) -> tuple[Process, int] | None:
    """Return the process and its parent's pid; None if it is not an OpenVPN."""
    if not _COMM.fullmatch(_text(folder / "comm").rstrip("\n")):
        return None
    argv = tuple(_text(folder / "cmdline").split("\0")[:-1])
    if not argv or not _COMM.fullmatch(PurePosixPath(argv[0]).name) or any(map(_SHORT_LIVED.fullmatch, argv)):
        return None
    # The name, in parentheses, may hold anything; behind it: state, ppid, and as the 20th field the start.
    fields = _text(folder / "stat").rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    try:
        cwd = PurePosixPath(os.readlink(folder / "cwd"))
    except OSError:
        cwd = None
    process = Process(pid, int(fields[19]), argv, parse_cgroup(_text(folder / "cgroup")), cwd)
    return process, int(fields[1])


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return os.fsdecode(file.read(_MAX_BYTES))
