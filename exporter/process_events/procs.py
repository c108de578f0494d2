"""What /proc says of processes to everybody: command line, parent, start, control group."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from exporter.procfs import hides_others

_LONGEST: Final = 128 * 1024  # bytes of a command line that are read
_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # nanoseconds


class Stat(NamedTuple):
    """A line of /proc/PID/stat."""

    name: str
    state: str  # Z: a zombie
    parent: int
    start_ticks: int  # clock ticks after boot


class Found(NamedTuple):
    """A child that was found in /proc."""

    parent: int
    pid: int
    words: tuple[str, ...]  # its command line
    began: int  # nanoseconds of CLOCK_MONOTONIC


class Processes:
    """The processes that a procfs shows. None of its methods raises for a process that is gone or hidden."""

    def __init__(self, procfs: Path) -> None:
        self._root = str(procfs)

    def pids(self) -> list[int]:
        """Return the pids of all processes. Raises OSError if there is no procfs."""
        return [int(name) for name in os.listdir(self._root) if name.isdigit()]

    def are_hidden(self) -> bool:
        """Return whether OpenVPN's processes cannot be read (hidepid)."""
        return hides_others(Path(self._root))

    def words(self, pid: int) -> tuple[str, ...] | None:
        """Return the command line; empty while the process executes a new program, None if it is gone."""
        data = self._read(pid, "cmdline")
        if data is None:
            return None
        return tuple(os.fsdecode(data).removesuffix("\0").split("\0")) if data else ()

    def name(self, pid: int) -> str | None:
        """Return the program's name, cut at 15 characters; None if the process is gone."""
        data = self._read(pid, "comm")
        return None if data is None else os.fsdecode(data).rstrip("\n")

    def stat(self, pid: int) -> Stat | None:
        """Return parent and start; None if the process is gone."""
        data = self._read(pid, "stat")
        if not data:
            return None
        name, _, rest = os.fsdecode(data).rpartition(") ")  # the name may hold anything
        fields = rest.split()
        return Stat(name.partition(" (")[2], fields[0], int(fields[1]), int(fields[19]))

    def is_gone(self, pid: int) -> bool:
        """Return whether the process has ended, even if nobody has waited for it yet."""
        stat = self.stat(pid)
        return stat is None or stat.state == "Z"

    def children(self, parents: set[int]) -> Iterator[Found]:
        """Yield the children of these processes that have not ended. Raises OSError if there is no procfs."""
        for pid in self.pids() if parents else ():
            stat = self.stat(pid)
            if stat and stat.parent in parents and stat.state != "Z" and (words := self.words(pid)):
                yield Found(stat.parent, pid, words, began(stat.start_ticks))

    def folder(self, pid: int) -> str | None:
        """Return the working folder; None if this process may not know it."""
        try:
            return os.readlink(f"{self._root}/{pid}/cwd")
        except OSError:
            return None

    def _read(self, pid: int, name: str) -> bytes | None:
        try:
            file = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(file, _LONGEST)
        except OSError:  # it has ended since
            return None
        finally:
            os.close(file)


def began(start_ticks: int) -> int:
    """Return when a process began, in nanoseconds of CLOCK_MONOTONIC, which unlike /proc does not count suspensions."""
    suspended = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return start_ticks * _TICK - suspended
