"""Watches the scripts of all OpenVPN processes of the host: kernel and /proc in, counts out."""

import logging
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter.discovery.instance import Instance
from exporter.process_events.child import Process
from exporter.process_events.instances import Scripts, broken
from exporter.process_events.messages import Exit, Fork
from exporter.process_events.procs import Processes, began
from exporter.process_events.reports import Reports
from exporter.process_events.search import Search
from exporter.process_events.tracker import Sink, Tracker

_log = logging.getLogger(__name__)

_OLD: Final = 3_000_000_000  # nanoseconds: the age at which a process has run its `up` script
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
        self._search = Search(self._processes)
        self._find = find
        self._name = name
        self._on_change = on_change
        self._scripts = Scripts()
        self._tracker = Tracker(sink, self._scripts.executed, broken, self._scripts.replaced)
        self._reports: Reports | None = None
        self._is_renaming = False  # the names of processes are to be asked for, whether there are new ones or not
        self._watched: frozenset[int] = frozenset()
        self._lock = threading.Lock()
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
        self._is_renaming = True
        self._search.restart()

    def connect(self) -> Reports:
        """Ask the kernel for its reports, once. Raises UnavailableError if it does not make them."""
        if self._reports is None:
            self._watched = frozenset()
            self._reports = Reports()
        return self._reports

    def close(self) -> None:
        """Let go of the kernel's reports."""
        self._scripts.close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._reports:
            self._reports.close()
            self._reports = None

    def work(self, patience: float) -> None:
        """Do one round of up to `patience` seconds.

        Raises UnavailableError, or what finding OpenVPN processes raises.
        """
        reports = self.connect()
        now = time.monotonic_ns()
        if now >= self._search.next_look:
            self._search.schedule(now)
            self._look(reports, now)
        due = self._tracker.next_look()
        until = self._search.next_look if due is None else min(due, self._search.next_look)
        starts = [starts.fileno() for starts in self._scripts.starts]
        ready, _, _ = select.select([reports.fileno(), *starts], [], [], min(patience, max(0.0, (until - now) / 1e9)))
        has_reports = reports.fileno() in ready
        if has_reports and len(ready) == 1 and self._can_gather():
            ready, _, _ = select.select(starts, [], [], _GATHER)  # the start of an OpenVPN cannot wait
        if set(ready) - {reports.fileno()} and self._scripts.openvpn_started():
            self._search.hurry(time.monotonic_ns())
        with self._lock:
            if has_reports:
                self._read(reports)
            now = time.monotonic_ns()
            for pid in self._tracker.due(now):
                self._tracker.looked(pid, self._processes.words(pid), now)

    def _can_gather(self) -> bool:
        """Return whether no child has to be looked at before it ends, and no OpenVPN is just starting."""
        return not self._search.is_starting and self._tracker.are_told()

    def _read(self, reports: Reports) -> None:
        lost = 0
        gone: list[int] = []
        while True:
            try:
                events, dropped = reports.read()
            except OSError:
                self._disconnect()
                raise
            self._take(events)
            if dropped:
                lost += dropped
                # Their ends were dropped, unless the next turn reads them.
                gone = [pid for pid in self._tracker.children() if self._processes.is_gone(pid)]
            elif not events:
                break  # only now, so that the fork of each execution that was read meanwhile has been taken
        if lost:
            self._lose(lost)
            # Children that are gone end uncounted; those whose forks were lost are found.
            self._tracker.lose(gone, time.monotonic_ns())
            self._find_children(set(self._tracker.processes))
        if not self._search.is_starting and not self._scripts.is_any_starting():
            self._tracker.settle()

    def _take(self, events: Sequence[Fork | Exit]) -> None:
        for event in events:
            if isinstance(event, Fork):
                self._tracker.fork(event)
            else:
                self._tracker.exit(event)
                if event.pid in self._watched:
                    self._follow()

    def _lose(self, dropped: int) -> None:
        if dropped:
            self.lost += dropped
            _log.warning("the kernel dropped process events, as the exporter read them too slowly: scripts are missing")

    def _look(self, reports: Reports, now: int) -> None:
        """Look for OpenVPN processes that have come or gone."""
        reports.make_room(now)
        suspects = self._search.suspects(self._tracker.processes.keys())
        is_renaming, self._is_renaming = self._is_renaming, False
        is_any_gone = any(self._processes.is_gone(pid) for pid in self._tracker.processes)
        if suspects or is_renaming or is_any_gone or self._processes.are_hidden():  # if so, finding them raises it
            for pid in suspects - self._tracker.processes.keys():
                self._scripts.prepare(self._processes.words(pid) or (), self._processes.folder(pid))
            instances = self._find()
            named = self._name(instances)
            current = {
                instance.process.pid: self._scripts.process(instance, named[instance.process.pid])
                for instance in instances
                if instance.process.pid in named
            }
            self._search.rule_out(suspects - current.keys())
            with self._lock:
                self._read(reports)  # what those that have ended since did before
                self._adopt(current, now)
        elif self._scripts.refresh():
            self.look_soon()
        with self._lock:
            self._follow()

    def _adopt(self, current: dict[int, Process], now: int) -> None:
        known = dict(self._tracker.processes)
        # The start of a process that has gone into the background is not known yet.
        same = {pid for pid in current if pid in known and known[pid].start_ticks in (0, current[pid].start_ticks)}
        new = current.keys() - same
        for pid in known.keys() - current.keys() | known.keys() & new:
            self._tracker.release(pid, now)
        for pid, process in current.items():
            self._tracker.adopt(process, is_up=pid in new and now - began(process.start_ticks) > _OLD)
        self._follow()
        self._find_children(new)
        if new or known.keys() - current.keys():
            self._on_change()

    def _find_children(self, parents: set[int]) -> None:
        """Find children that these processes have, and whose forks were not seen."""
        for child in self._processes.children(parents):
            self._tracker.found(child.parent, child.pid, child.words, child.began)

    def _follow(self) -> None:
        """Tell the kernel whose children are followed now, and take what those that have just started did before."""
        watched = frozenset(self._tracker.processes)
        if self._reports and watched != self._watched:
            new = watched - self._watched
            self._reports.watch(watched)
            self._watched = watched
            for pid in new:
                has_forked_itself = self._tracker.processes[pid].start_ticks == 0  # to go into the background
                if self._search.is_starting or has_forked_itself:
                    at = 0 if has_forked_itself else self._search.started_at
                    events, dropped = self._reports.since_start(pid, at)
                    self._take(events)
                    self._lose(dropped)
