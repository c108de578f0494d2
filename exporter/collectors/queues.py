"""Collector `queues`: every System V message queue's bytes, messages, limit, peaks, times and pids."""

import time
from typing import Final

from exporter.collectors.base import Collector, Families
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import ScrapedQueues
from exporter.exposition.families import Family, Metric
from exporter.memo import MemoizeLast
from exporter.sysv.ids import edition, groups, users
from exporter.sysv.keys import key_texts
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
    "It bounds the number of messages too. Absent where only /proc/sysvipc/msg can be read.",
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
    "msg_lrpid: process id (thread id where it had to wait) of the last receiver; 0 = none.",
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
OMITTED: Final = _gauge(
    "sysv_msg_queues_omitted",
    "Queues without a series of their own: left out by include/exclude (filter) or max-series (limit).",
    "reason",
)


class QueuesCollector(Collector):
    """Reads all queues at every scrape, and samples them in between for their peaks."""

    def __init__(self, queues: ScrapedQueues, peaks: Peaks, sampler: Sampler | None) -> None:
        """`sampler` feeds `peaks`; without one there are none."""
        self._queues = queues
        self._peaks = peaks
        self._sampler = sampler
        self._owners = MemoizeLast(users)
        self._groups = MemoizeLast(groups)
        self._creators = MemoizeLast(users)
        self._keys = MemoizeLast(key_texts)
        self._msqids = MemoizeLast(lambda msqids: list(map(str, msqids)))
        self._modes = MemoizeLast(lambda modes: [f"{mode:04o}" for mode in modes])

    def start(self) -> None:
        """Begin sampling."""
        if self._sampler:
            self._sampler.start()

    def stop(self) -> None:
        """End sampling."""
        if self._sampler:
            self._sampler.stop()

    def collect(self) -> Families:
        """A series for every queue that is chosen, the totals over all."""
        everything, chosen, queue, filtered, limited = self._queues.look()
        self._peaks.add(time.monotonic(), everything)
        return [
            *self._families(chosen, queue),
            QUEUES.family([len(everything.msqid)]),
            TOTAL_BYTES.family([sum(everything.cbytes)]),
            TOTAL_MESSAGES.family([sum(everything.qnum)]),
            OMITTED.family([filtered, limited], ["filter", "limit"]),
        ]

    def _families(self, queues: Queues, queue: list[str]) -> list[Family]:
        now = edition(time.monotonic())
        known = queue
        limits = queues.qbytes
        if UNKNOWN_LIMIT in limits:
            known = [label for label, limit in zip(queue, limits, strict=True) if limit != UNKNOWN_LIMIT]
            limits = [limit for limit in limits if limit != UNKNOWN_LIMIT]
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
                [1] * len(queue),
                queue,
                self._keys(queues.key),
                self._msqids(queues.msqid),
                self._owners(queues.uid, now),
                self._groups(queues.gid, now),
                self._creators(queues.cuid, now),
                self._modes(queues.mode),
            ),
        ]
        if self._sampler:
            peak_bytes, peak_messages = self._peaks.highest(time.monotonic(), queues.msqid)
            families += [PEAK_BYTES.family(peak_bytes, queue), PEAK_MESSAGES.family(peak_messages, queue)]
        return families


def build(context: BuildContext) -> QueuesCollector:
    """With a sampler, except for a single look, between which and the next there is nothing to sample."""
    settings = context.settings.queues
    peaks = Peaks(settings.peak_window)
    sampler = None if context.settings.once else Sampler(context.reader, peaks, settings.sample_interval)
    return QueuesCollector(context.queues, peaks, sampler)
