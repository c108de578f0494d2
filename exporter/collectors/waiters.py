"""Collector `waiters`: threads asleep in msgsnd and msgrcv; and whether the last sender and receiver still run."""

import argparse
import logging
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from exporter.collectors.base import Collector, CollectorSpec, Families, Flags, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family, Metric
from exporter.procfs import exists
from exporter.sysv.sleepers import DeniedError, Sleepers, SystemCalls, scan, system_calls
from exporter.sysv.sleepersource import HelperSource, LimitedScan, SleeperSource

_log = logging.getLogger(__name__)

_UNKNOWN_MACHINE: Final = f"the numbers of the system calls msgsnd and msgrcv on {platform.machine()} are not known"


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


class WaiterSettings(NamedTuple):
    """What --collector.waiters.* set."""

    socket: Path = Path("/run/openvpn-mq-waiters.sock")


class WaitersCollector(Collector):
    """Counts sleeping threads at a scrape, by itself or by the helper; less often if there are many threads."""

    def __init__(self, procfs: Path, source: SleeperSource | None) -> None:
        """`source` is None on a machine whose system calls are not known."""
        self._procfs = procfs
        self._source = source

    def collect(self, scrape: Scrape) -> Families:
        """Return gauges per queue. Raise PartialResultError, with those that need no right, if threads are closed."""
        queues, queue = scrape.queues.chosen, scrape.queues.labels
        running = [
            *self._running(SENDER_RUNNING, queues.lspid, queue),
            *self._running(RECEIVER_RUNNING, queues.lrpid, queue),
        ]
        if self._source is None:
            raise PartialResultError(_UNKNOWN_MACHINE, running)
        try:
            # Without queues there are no waiters, and no need to look.
            asleep = self._source.read() if queues.msqid else Sleepers(Counter(), Counter())
        except DeniedError as error:
            raise PartialResultError(str(error), running) from None
        return [
            BLOCKED_SENDERS.family([asleep.senders.get(msqid, 0) for msqid in queues.msqid], queue),
            WAITING_RECEIVERS.family([asleep.receivers.get(msqid, 0) for msqid in queues.msqid], queue),
            *running,
        ]

    def _running(self, metric: Metric, pids: Sequence[int], queue: Sequence[str]) -> list[Family]:
        known = {pid: found for pid in set(pids) if pid and (found := exists(self._procfs, pid)) is not None}
        if len(known) < len(set(pids)):
            indices = [index for index, pid in enumerate(pids) if pid in known]
            pids, queue = [pids[index] for index in indices], [queue[index] for index in indices]
        return [metric.family([int(known[pid]) for pid in pids], queue)]


def _build(context: BuildContext) -> WaitersCollector | None:
    """Return None, with a log line, if /proc does not allow the scan and there is no helper.

    If the collector was enabled explicitly, return it anyway so that it fails visibly.
    """
    settings = context.settings
    helper = settings.of(WaiterSettings).socket
    if helper.is_socket():
        return WaitersCollector(settings.procfs, HelperSource(helper))
    calls = system_calls()
    if not settings.collectors.get("waiters"):
        refusal = _refusal(settings.procfs, calls)
        if refusal:
            if not settings.once:  # cron would mail the line every minute
                _log.info("collector waiters is off: %s", refusal)
            return None
    return WaitersCollector(settings.procfs, LimitedScan(settings.procfs, calls) if calls else None)


def _refusal(procfs: Path, calls: SystemCalls | None) -> str | None:
    if calls is None:
        return _UNKNOWN_MACHINE
    try:
        scan(procfs, calls)
    except DeniedError as error:
        return f"{error}; or start openvpn-mq-waiters.socket, whose service has them"
    return None


def _add_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--collector.waiters.socket", dest="waiters_socket", metavar="PATH", type=Path,
        default=WaiterSettings().socket,
        help="socket of openvpn-mq-waiters, which may inspect other users' threads; if there is none, the exporter "
        "inspects them itself (default %(default)s)",
    )  # fmt: skip  # one line of arguments and one of help


SPEC: Final = CollectorSpec(
    "waiters",
    True,
    _build,
    "threads asleep in msgsnd and msgrcv, from /proc",
    Flags(_add_flags, lambda options: WaiterSettings(options.waiters_socket)),
)
