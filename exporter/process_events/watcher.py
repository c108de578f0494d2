"""Watches the scripts of all OpenVPN processes of the host: kernel and /proc in, counts out."""

import errno
import logging
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter.discovery.instance import Instance
from exporter.process_events.child import Process
from exporter.process_events.connector import Connector
from exporter.process_events.instances import Scripts
from exporter.process_events.messages import Answer, Exit, Fork, Message
from exporter.process_events.procs import Processes, began
from exporter.process_events.tracker import Sink, Tracker

_log = logging.getLogger(__name__)

_MILLISECOND: Final = 1_000_000  # nanoseconds
_LOOK_EVERY: Final = 1000 * _MILLISECOND  # between looks for OpenVPN processes that have come or gone
_ALL_EVERY: Final = 10  # looks: so often all processes are looked at, in between only new ones
# After OpenVPN was executed, all processes are reported for a while, as it may go into the background. Events of those
# that are not known are kept until the new OpenVPN is, which is looked for at growing distances (reversed here).
_WIDE: Final = 300 * _MILLISECOND
_SOON: Final = tuple(distance * _MILLISECOND for distance in (128, 64, 32, 16, 8, 4, 2, 1))
_MOST_UNCLAIMED: Final = 20_000
_OLD: Final = 3000 * _MILLISECOND  # the age at which a process has run its `up` script
_GATHER: Final = 0.02  # seconds for which reports may gather, so that a wake-up takes in several scripts


class Watcher:
    """One thread calls `work`; others may ask `running` and `blocked`."""

    def __init__(
        self,
        procfs: Path,
        find: Callable[[], Sequence[Instance]],
        name: Callable[[Sequence[Instance]], dict[int, str]],
        sink: Sink,
        on_change: Callable[[], None],
    ) -> None:
        """Watch nothing yet.

        `find` returns all OpenVPN processes, `name` the servers of those that are to be watched, by pid; `on_change`
        is called when such a process has come or gone.
        """
        self._processes = Processes(procfs)
        self._find = find
        self._name = name
        self._on_change = on_change
        self._scripts = Scripts()
        self._tracker = Tracker(sink, self._scripts.executed, _broken)
        self._connector: Connector | None = None
        self._watched: frozenset[int] | None = frozenset()  # None: all processes
        self._wide_until = 0
        self._lock = threading.Lock()
        self._looks = 0
        self._look_at = 0  # when to look for OpenVPN processes
        self._soon: list[int] = []  # distances of further looks
        self._unclaimed: list[Fork | Exit] = []  # events of processes that may turn out to be an OpenVPN's
        self._others: set[int] = set()  # pids of processes that were none when they were last looked at
        self.lost = 0  # events that the kernel dropped

    def running(self) -> Counter[tuple[str, str]]:
        """Return how many scripts run, by server and hook."""
        with self._lock:
            return self._tracker.running()

    def blocked(self) -> dict[str, float]:
        """Return for how many seconds OpenVPN has waited for scripts, by server."""
        with self._lock:
            return self._tracker.blocked(time.monotonic_ns())

    def look_soon(self) -> None:
        """Name all OpenVPN processes anew, soon."""
        self._looks = 0
        self._look_at = 0

    def connect(self) -> Connector:
        """Ask the kernel for its reports, once. Raises UnavailableError if it does not make them."""
        if self._connector is None:
            self._watched = frozenset()
            self._connector = Connector(self._watched)
        return self._connector

    def close(self) -> None:
        """Let go of the kernel's reports."""
        self._scripts.close()
        if self._connector:
            self._connector.close()
            self._connector = None

    def work(self, patience: float) -> None:
        """Do one round of up to `patience` seconds.

        Raises UnavailableError, or what finding OpenVPN processes raises.
        """
        connector = self.connect()
        now = time.monotonic_ns()
        if now >= self._look_at:
            if self._soon:
                self._look_at = now + self._soon.pop()
                self._wide_until = now + _WIDE
            else:
                self._look_at = now + (_LOOK_EVERY if self._watched is not None else _WIDE)
            self._look(connector, now)
        due = self._tracker.next_look()
        until = self._look_at if due is None else min(due, self._look_at)
        starts = [starts.fileno() for starts in self._scripts.starts]
        ready, _, _ = select.select([connector.fileno(), *starts], [], [], min(patience, max(0.0, (until - now) / 1e9)))
        has_reports = connector.fileno() in ready
        if has_reports and len(ready) == 1 and self._can_gather():
            ready, _, _ = select.select(starts, [], [], _GATHER)  # the start of an OpenVPN cannot wait
        if set(ready) - {connector.fileno()} and self._scripts.openvpn_started():
            self._wide_until = time.monotonic_ns() + _WIDE
            self._filter()
            self._soon = list(_SOON)
            self._look_at = 0
        with self._lock:
            if has_reports:
                self._read(connector)
            now = time.monotonic_ns()
            for pid in self._tracker.due(now):
                self._tracker.looked(pid, self._processes.words(pid), now)

    def _can_gather(self) -> bool:
        """Return whether no child has to be looked at before it ends, and no OpenVPN is just starting."""
        return not self._soon and self._watched is not None and self._tracker.are_told()

    def _read(self, connector: Connector) -> None:
        try:
            for message in connector.read():
                self._take(message)
            if self._watched is not None:
                self._tracker.settle()
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                connector.close()
                self._connector = None
                raise
            self.lost += connector.dropped()
            _log.warning("the kernel dropped process events, as the exporter read them too slowly: scripts are missing")
            # Children that are gone end uncounted; those whose forks were lost are found.
            gone = [pid for pid in self._tracker.children() if self._gone(pid)]
            self._tracker.lose(gone, time.monotonic_ns())
            self._find_children(set(self._tracker.processes))

    def _take(self, message: Message) -> None:
        if isinstance(message, Answer):
            return
        if self._watched is None and not self._tracker.follows(message):
            if len(self._unclaimed) < _MOST_UNCLAIMED:
                self._unclaimed.append(message)
        elif isinstance(message, Fork):
            self._tracker.fork(message)
        else:
            self._tracker.exit(message)
            if self._watched and message.pid in self._watched:
                self._filter()

    def _look(self, connector: Connector, now: int) -> None:
        """Look for OpenVPN processes that have come or gone."""
        suspects = self._suspects()
        if suspects or any(self._gone(pid) for pid in self._tracker.processes):
            self._filter(wide=True)  # while more is found out about them, and others may start
            for pid in suspects - self._tracker.processes.keys():
                self._scripts.prepare(self._processes.words(pid) or (), self._processes.folder(pid))
            instances = self._find()
            named = self._name(instances)
            current = {
                instance.process.pid: self._scripts.process(instance, named[instance.process.pid])
                for instance in instances
                if instance.process.pid in named
            }
            self._others |= suspects - current.keys()
            with self._lock:
                self._read(connector)  # what those that have ended since did before
                self._adopt(current, now)
        else:
            self._scripts.refresh()
        self._filter()

    def _suspects(self) -> set[int]:
        """Return the pids of processes that may be OpenVPNs, and are not known; at times those that are known too."""
        if self._soon or self._looks % _ALL_EVERY == 0:
            self._others.clear()
        known = self._tracker.processes.keys() if self._looks % _ALL_EVERY else set()
        self._looks += 1
        pids = set(self._processes.pids())
        self._others &= pids
        unknown = pids - self._others - known
        suspects = {pid for pid in unknown if _is_openvpn(self._processes.name(pid))}
        self._others |= unknown - suspects
        return suspects

    def _adopt(self, current: dict[int, Process], now: int) -> None:
        known = dict(self._tracker.processes)
        # The start of a process that has gone into the background is not known yet.
        same = {pid for pid in current if pid in known and known[pid].start_ticks in (0, current[pid].start_ticks)}
        new = current.keys() - same
        for pid in known.keys() - current.keys() | known.keys() & new:
            self._tracker.release(pid, now)
        for pid, process in current.items():
            self._tracker.adopt(process, is_up=pid in new and now - began(process.start_ticks) > _OLD)
        self._find_children(new)
        if new:
            unclaimed, self._unclaimed = self._unclaimed, []
            for message in unclaimed:
                self._take(message)
        if new or known.keys() - current.keys():
            self._on_change()

    def _find_children(self, parents: set[int]) -> None:
        """Find children that these processes have, and whose forks were not seen."""
        for pid in self._processes.pids() if parents else ():
            stat = self._processes.stat(pid)
            if stat and stat.parent in parents and stat.state != "Z":
                words = self._processes.words(pid)
                if words:
                    self._tracker.found(stat.parent, pid, words, began(stat.start_ticks))

    def _gone(self, pid: int) -> bool:
        stat = self._processes.stat(pid)
        return stat is None or stat.state == "Z"

    def _filter(self, *, wide: bool = False) -> None:
        """Tell the kernel whose children are followed now; `wide`: those of all processes."""
        wide = wide or time.monotonic_ns() < self._wide_until
        watched = None if wide else frozenset(self._tracker.processes)
        if self._connector and watched != self._watched:
            self._connector.watch(watched)
            self._watched = watched
            self._unclaimed.clear()


def _is_openvpn(name: str | None) -> bool:
    return name is not None and name.startswith("openvpn") and not name.startswith("openvpn-mq")


def _broken(process: Process) -> list[str]:
    """Return the hooks whose scripts are not there, or may not be executed."""
    return [script.hook for script in process.commands.scripts if script.path and not os.access(script.path, os.X_OK)]
