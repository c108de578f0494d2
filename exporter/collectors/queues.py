"""Collector `queues`: every System V message queue's bytes, messages, limit, peaks, times and pids."""

import logging
import time
from typing import Final

from exporter.collector import Collector, Families
from exporter.log import Notices
from exporter.metrics import Family, Metric
from exporter.settings import QueueSettings, Settings
from exporter.sysv.accounts import groups, users
from exporter.sysv.names import QueueNames, key_text, labels
from exporter.sysv.peaks import Peaks
from exporter.sysv.reader import QueueReader
from exporter.sysv.rows import QueueRow
from exporter.sysv.sampler import Sampler
from exporter.sysv.selection import fullest

_log = logging.getLogger(__name__)


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

    def __init__(self, reader: QueueReader, names: QueueNames, settings: QueueSettings, *, sampling: bool) -> None:
        self._reader = reader
        self._names = names
        self._settings = settings
        self._peaks = Peaks(settings.peak_window)
        self._sampler = Sampler(reader, self._peaks, settings.sample_interval) if sampling else None
        self._users = users()
        self._groups = groups()
        self._notices = Notices(_log)

    def start(self) -> None:
        """Begin sampling."""
        if self._sampler:
            self._sampler.start()

    def stop(self) -> None:
        """End sampling."""
        if self._sampler:
            self._sampler.stop()

    def collect(self) -> Families:
        """A series for every queue that is not filtered out, the totals over all."""
        rows = self._reader.read()
        self._peaks.add(time.monotonic(), rows)
        named = self._names.by_key()
        # A queue that is removed and made again while we read can be met twice: the later one is the one that is.
        everything = dict(zip(labels(rows, named), rows, strict=True))
        wanted = {queue: row for queue, row in everything.items() if self._settings.wants(queue)}
        kept = self._bounded(wanted, set(named.values()))
        return [
            *self._families(kept),
            QUEUES.family([len(everything)]),
            TOTAL_BYTES.family([sum(row.cbytes for row in everything.values())]),
            TOTAL_MESSAGES.family([sum(row.qnum for row in everything.values())]),
            OMITTED.family([len(everything) - len(wanted), len(wanted) - len(kept)], ["filter", "limit"]),
        ]

    def _bounded(self, wanted: dict[str, QueueRow], named: set[str]) -> dict[str, QueueRow]:
        most = self._settings.max_series
        if not most or len(wanted) <= most:
            self._notices.clear("series", "every queue has series of its own again")
            return wanted
        self._notices.raise_(
            "series",
            f"there are more queues than --collector.queues.max-series={most}: only the fullest have series of their "
            "own; raise it (0 = no limit), or leave queues out by --collector.queues.exclude",
        )
        return fullest(wanted, named, most)

    def _families(self, rows: dict[str, QueueRow]) -> list[Family]:
        if not rows:
            return []
        queues = list(rows)
        (
            key, msqid, mode, cbytes, qnum, lspid, lrpid, uid, gid, cuid, stime, rtime, ctime, qbytes,
        ) = zip(*rows.values(), strict=True)  # fmt: skip  # the fields of QueueRow, each a column now
        known = [place for place, limit in enumerate(qbytes) if limit is not None]
        families = [
            BYTES.family(cbytes, queues),
            MESSAGES.family(qnum, queues),
            LIMIT.family([qbytes[place] for place in known], [queues[place] for place in known]),
            LAST_SEND.family(stime, queues),
            LAST_RECEIVE.family(rtime, queues),
            LAST_CHANGE.family(ctime, queues),
            LAST_SEND_PID.family(lspid, queues),
            LAST_RECEIVE_PID.family(lrpid, queues),
            INFO.family(
                [1] * len(queues),
                queues,
                [key_text(number) for number in key],
                [str(number) for number in msqid],
                self._users.names(uid),
                self._groups.names(gid),
                self._users.names(cuid),
                [f"{bits:04o}" for bits in mode],
            ),
        ]
        if self._sampler:  # one look (--once) samples nothing between scrapes, so it knows no peaks
            peak_bytes, peak_messages = self._peaks.highest(time.monotonic(), msqid)
            families += [PEAK_BYTES.family(peak_bytes, queues), PEAK_MESSAGES.family(peak_messages, queues)]
        return families


def build(settings: Settings) -> QueuesCollector:
    """From the flags and the configured names."""
    names = QueueNames(settings.config.queue_names)
    return QueuesCollector(QueueReader(settings.procfs), names, settings.queues, sampling=not settings.once)
