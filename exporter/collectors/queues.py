"""Collector `queues`: every System V message queue's bytes, messages, limit, peaks, times and pids."""

import time
from collections.abc import Sequence
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.queues_flags import FLAGS
from exporter.collectors.snapshot import QueueSettings, Scrape
from exporter.config.model import Config
from exporter.exposition.families import Family, Metric
from exporter.memo import MemoizeLast
from exporter.sysv.fill import max_fill
from exporter.sysv.ids import AccountNames
from exporter.sysv.keys import key_texts
from exporter.sysv.names import QueueNames
from exporter.sysv.peaks import Peaks
from exporter.sysv.queues import UNKNOWN_LIMIT, Queues
from exporter.sysv.sampler import Sampler


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", help_text, labels)


BYTES: Final = _gauge(
    "sysv_msg_queue_bytes", "msg_cbytes of struct msqid_ds: bytes of message data in the queue.", "queue"
)
MESSAGES: Final = _gauge("sysv_msg_queue_messages", "msg_qnum of struct msqid_ds: messages in the queue.", "queue")
LIMIT: Final = _gauge(
    "sysv_msg_queue_limit_bytes",
    "msg_qbytes of struct msqid_ds: this queue's own limit, taken from kernel.msgmnb when it was created. "
    "It bounds the number of messages too. Absent if only /proc/sysvipc/msg can be read.",
    "queue",
)
PEAK_BYTES: Final = _gauge(
    "sysv_msg_queue_peak_bytes",
    "Highest msg_cbytes seen in the last peak window, sampled between scrapes.",
    "queue",
)
PEAK_MESSAGES: Final = _gauge(
    "sysv_msg_queue_peak_messages",
    "Highest msg_qnum seen in the last peak window, sampled between scrapes.",
    "queue",
)
LAST_SEND: Final = _gauge(
    "sysv_msg_queue_last_send_timestamp_seconds",
    "msg_stime: when the last message was sent; 0 = never.",
    "queue",
)
LAST_RECEIVE: Final = _gauge(
    "sysv_msg_queue_last_receive_timestamp_seconds",
    "msg_rtime: when the last message was received; 0 = never.",
    "queue",
)
LAST_CHANGE: Final = _gauge(
    "sysv_msg_queue_last_change_timestamp_seconds",
    "msg_ctime: when the queue was created or last changed by IPC_SET.",
    "queue",
)
LAST_SEND_PID: Final = _gauge(
    "sysv_msg_queue_last_send_pid", "msg_lspid: process id of the last sender; 0 = none.", "queue"
)
LAST_RECEIVE_PID: Final = _gauge(
    "sysv_msg_queue_last_receive_pid",
    "msg_lrpid: process id (thread id if it had to wait) of the last receiver; 0 = none.",
    "queue",
)
INFO: Final = _gauge(
    "sysv_msg_queue_info",
    "Identity of the queue, from msg_perm of struct msqid_ds; always 1.",
    *("queue", "key", "msqid", "owner", "group", "creator", "mode"),
)
QUEUES: Final = _gauge("sysv_msg_queues", "Queues in the IPC namespace, filtered ones too.")
TOTAL_BYTES: Final = _gauge("sysv_msg_bytes", "Sum of msg_cbytes over all queues, filtered ones too.")
TOTAL_MESSAGES: Final = _gauge("sysv_msg_messages", "Sum of msg_qnum over all queues, filtered ones too.")
MAX_FILL: Final = _gauge(
    "sysv_msg_queue_max_fill_ratio",
    "Highest fill over all queues, filtered ones too: the larger of msg_cbytes and msg_qnum, divided by msg_qbytes. "
    "Absent if there is no queue, or if a queue's limit is not known.",
)
OMITTED: Final = _gauge(
    "sysv_msg_queues_omitted",
    "Queues without series of their own: left out by include/exclude (filter) or max-series (limit).",
    "reason",
)


class QueuesCollector(Collector):
    """Reads all queues at every scrape, and samples them in between for their peaks."""

    def __init__(self, names: QueueNames, peaks: Peaks, sampler: Sampler | None) -> None:
        """`sampler` feeds `peaks`; without one there are none."""
        self._names = names
        self._peaks = peaks
        self._sampler = sampler
        self._accounts = AccountNames()
        self._owners = MemoizeLast(lambda uids, _version: self._accounts.users(uids))
        self._groups = MemoizeLast(lambda gids, _version: self._accounts.groups(gids))
        self._creators = MemoizeLast(lambda uids, _version: self._accounts.users(uids))
        self._keys = MemoizeLast(key_texts)
        self._msqids = MemoizeLast(lambda msqids: tuple(map(str, msqids)))
        self._modes = MemoizeLast(lambda modes: tuple(f"{mode:04o}" for mode in modes))

    def start(self) -> None:
        """Start to sample, and to look names up."""
        self._accounts.start()
        if self._sampler:
            self._sampler.start()

    def stop(self) -> None:
        """Stop both."""
        if self._sampler:
            self._sampler.stop()
        self._accounts.stop()

    def reconfigure(self, config: Config) -> None:
        """Give queues their new names."""
        self._names.rename(config.queue_names)

    def collect(self, scrape: Scrape) -> Families:
        """Return a series per chosen queue, and the totals over all; PartialResultError if sampling has ended."""
        everything, chosen, queue, filtered, limited = scrape.queues
        self._peaks.add(time.monotonic(), everything)
        fullest = max_fill(everything)
        families = [
            *self._families(chosen, queue),
            QUEUES.family([len(everything.msqid)]),
            TOTAL_BYTES.family([sum(everything.cbytes)]),
            TOTAL_MESSAGES.family([sum(everything.qnum)]),
            OMITTED.family([filtered, limited], ["filter", "limit"]),
            MAX_FILL.family([] if fullest is None else [fullest]),
        ]
        if self._sampler and self._sampler.fault:
            raise PartialResultError(f"peaks are not sampled: {self._sampler.fault}", families)
        return families

    def _families(self, queues: Queues, queue: Sequence[str]) -> list[Family]:
        known = queue
        limits = queues.qbytes
        if UNKNOWN_LIMIT in limits:
            known = [label for label, limit in zip(queue, limits, strict=True) if limit != UNKNOWN_LIMIT]
            limits = [limit for limit in limits if limit != UNKNOWN_LIMIT]
        version = self._accounts.version
        families = [
            BYTES.family(queues.cbytes, queue),
            MESSAGES.family(queues.qnum, queue),
            LIMIT.family(limits, known),
            LAST_SEND.family(queues.stime, queue),
            LAST_RECEIVE.family(queues.rtime, queue),
            LAST_CHANGE.family(queues.ctime, queue),
            LAST_SEND_PID.family(queues.lspid, queue),
            LAST_RECEIVE_PID.family(queues.lrpid, queue),
            INFO.family(
                (1,) * len(queue),
                queue,
                self._keys(queues.key),
                self._msqids(queues.msqid),
                self._owners(queues.uid, version),
                self._groups(queues.gid, version),
                self._creators(queues.cuid, version),
                self._modes(queues.mode),
            ),
        ]
        if self._sampler:
            peak_bytes, peak_messages = self._peaks.highest(time.monotonic(), queues.msqid)
            families += [PEAK_BYTES.family(peak_bytes, queue), PEAK_MESSAGES.family(peak_messages, queue)]
        return families


def _build(context: BuildContext) -> QueuesCollector:
    # No sampler with --once: a single reading has no interval to sample.
    settings = context.settings.of(QueueSettings)
    peaks = Peaks(settings.peak_window)
    sampler = None if context.settings.once else Sampler(context.reader, peaks, settings.sample_interval)
    return QueuesCollector(context.names, peaks, sampler)


SPEC: Final = CollectorSpec("queues", True, _build, "System V message queues, from msgctl", FLAGS)
