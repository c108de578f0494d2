"""Collector `waiters`: threads asleep in msgsnd and msgrcv; and whether the last sender and receiver still run."""

import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family, Metric
from exporter.procfs import exists
from exporter.sysv.queues import Queues
from exporter.sysv.sleepers import DeniedError, Sleepers, SystemCalls, scan, system_calls

_log = logging.getLogger(__name__)

_UNKNOWN_MACHINE: Final = f"the numbers of the system calls msgsnd and msgrcv on {platform.machine()} are not known"
_MAX_SHARE: Final = 0.01  # of a core, for scanning


def _gauge(name: str, help_text: str) -> Metric:
    return Metric(name, "gauge", help_text, ("queue",))


_HOW: Final = (
    "from /proc/PID/task/TID/syscall, of the exporter's own IPC namespace. Scanned no more often than a hundredth of a "
    "core allows."
)
BLOCKED_SENDERS: Final = _gauge("sysv_msg_queue_blocked_senders", f"Threads asleep in msgsnd, {_HOW}")
WAITING_RECEIVERS: Final = _gauge("sysv_msg_queue_waiting_receivers", f"Threads asleep in msgrcv, {_HOW}")
SENDER_RUNNING: Final = _gauge(
    "sysv_msg_queue_last_sender_running",
    "1 if /proc has a process or thread with the id msg_lspid, else 0; absent before the first send.",
)
RECEIVER_RUNNING: Final = _gauge(
    "sysv_msg_queue_last_receiver_running",
    "1 if /proc has a process or thread with the id msg_lrpid, else 0; absent before the first receive.",
)


class WaitersCollector(Collector):
    """Scans every thread of the host at a scrape; less often if there are many."""

    def __init__(
        self,
        procfs: Path,
        calls: SystemCalls | None,
        clock: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._procfs = procfs
        self._calls = calls
        self._clock = clock
        self._cpu_time = cpu_time
        self._last = Sleepers(Counter(), Counter())
        self._not_before = 0.0

    def collect(self, scrape: Scrape) -> Families:
        """Return gauges per queue. Raise PartialResultError, with those that need no right, if threads are closed."""
        queues, queue = scrape.queues.chosen, scrape.queues.labels
        running = [
            *self._running(SENDER_RUNNING, queues.lspid, queue),
            *self._running(RECEIVER_RUNNING, queues.lrpid, queue),
        ]
        if self._calls is None:
            raise PartialResultError(_UNKNOWN_MACHINE, running)
        try:
            asleep = self._sleepers(self._calls, queues)
        except DeniedError as error:
            raise PartialResultError(str(error), running) from None
        return [
            BLOCKED_SENDERS.family([asleep.senders.get(msqid, 0) for msqid in queues.msqid], queue),
            WAITING_RECEIVERS.family([asleep.receivers.get(msqid, 0) for msqid in queues.msqid], queue),
            *running,
        ]

    def _sleepers(self, calls: SystemCalls, queues: Queues) -> Sleepers:
        if not queues.msqid:
            return self._last  # without queues there are no waiters: no scan
        if self._clock() >= self._not_before:
            before = self._cpu_time()
            self._last = scan(self._procfs, calls)
            self._not_before = self._clock() + (self._cpu_time() - before) / _MAX_SHARE
        return self._last

    def _running(self, metric: Metric, pids: Sequence[int], queue: Sequence[str]) -> list[Family]:
        known = {pid: found for pid in set(pids) if pid and (found := exists(self._procfs, pid)) is not None}
        if len(known) < len(set(pids)):
            indices = [index for index, pid in enumerate(pids) if pid in known]
            pids, queue = [pids[index] for index in indices], [queue[index] for index in indices]
        return [metric.family([int(known[pid]) for pid in pids], queue)]


def _build(context: BuildContext) -> WaitersCollector | None:
    """Return None, with a log line, if /proc does not allow the scan.

    If the collector was enabled explicitly, return it anyway so that it fails visibly.
    """
    settings = context.settings
    if not settings.collectors.get("waiters"):
        refusal = _refusal(settings.procfs)
        if refusal:
            if not settings.once:  # cron would mail the line every minute
                _log.info("collector waiters is off: %s", refusal)
            return None
    return WaitersCollector(settings.procfs, system_calls())


def _refusal(procfs: Path) -> str | None:
    calls = system_calls()
    if calls is None:
        return _UNKNOWN_MACHINE
    try:
        scan(procfs, calls)
    except DeniedError as error:
        return str(error)
    return None


SPEC: Final = CollectorSpec("waiters", True, _build, "threads asleep in msgsnd and msgrcv, from /proc")
