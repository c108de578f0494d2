"""Collector `waiters`: threads asleep in msgsnd and msgrcv; and whether the last sender and receiver still run."""

import argparse
import logging
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from exporter.collectors.base import Collector, CollectorSpec, Families, Flags, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family, Metric
from exporter.memo import MemoizeLast
from exporter.procfs import exists
from exporter.sysv.sleepers import CapabilitiesError, DeniedError, Sleepers, SystemCalls, scan, system_calls
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
        self._source = source
        self._senders = _Running(SENDER_RUNNING, procfs)
        self._receivers = _Running(RECEIVER_RUNNING, procfs)

    def collect(self, scrape: Scrape) -> Families:
        """Return gauges per queue. Raise PartialResultError, with those that need no right, if threads are closed."""
        queues, queue = scrape.queues.chosen, scrape.queues.labels
        running = [
            self._senders.family(queues.lspid, queue),
            self._receivers.family(queues.lrpid, queue),
        ]
        if self._source is None:
            raise PartialResultError(_UNKNOWN_MACHINE, running)
        try:
            # Without queues there are no waiters, and no need to look.
            asleep = self._source.read() if queues.msqid else Sleepers(Counter(), Counter())
        except DeniedError as error:
            raise PartialResultError(str(error), running) from None
        return [
            BLOCKED_SENDERS.family(_counts(asleep.senders, queues.msqid), queue),
            WAITING_RECEIVERS.family(_counts(asleep.receivers, queues.msqid), queue),
            *running,
        ]


class _Running:
    """Whether the last sender or receiver of each queue still runs; built anew only if one of them has changed."""

    def __init__(self, metric: Metric, procfs: Path) -> None:
        self._metric = metric
        self._procfs = procfs
        self._distinct: MemoizeLast[[Sequence[int]], frozenset[int]] = MemoizeLast(frozenset)
        self._columns = MemoizeLast(_running_columns)

    def family(self, pids: Sequence[int], queue: Sequence[str]) -> Family:
        """Return 1 or 0 per queue; a queue whose process id is 0, or cannot be looked up, is left out."""
        running = {
            pid: found for pid in self._distinct(pids) if pid and (found := exists(self._procfs, pid)) is not None
        }
        return self._metric.family(*self._columns(pids, queue, running))


def _running_columns(
    pids: Sequence[int], queue: Sequence[str], running: Mapping[int, bool]
) -> tuple[Sequence[int], Sequence[str]]:
    if running.keys() >= set(pids):
        return [int(running[pid]) for pid in pids], queue
    known = [(int(running[pid]), label) for pid, label in zip(pids, queue, strict=True) if pid in running]
    return [value for value, _ in known], [label for _, label in known]


def _counts(asleep: Mapping[int, int], msqids: Sequence[int]) -> list[int]:
    # Nearly always nobody sleeps.
    return [asleep.get(msqid, 0) for msqid in msqids] if asleep else [0] * len(msqids)


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
    except CapabilitiesError as error:
        return f"{error}; or start openvpn-mq-waiters.socket, whose service has them"
    except DeniedError as error:
        return str(error)
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
