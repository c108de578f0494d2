"""The queues of one scrape: read once, labelled and chosen once, for every collector that needs them."""

import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exporter.logs import StateLog
from exporter.memo import MemoizeLast
from exporter.sysv.fill import fullest
from exporter.sysv.names import QueueNames, labels
from exporter.sysv.queues import Queues
from exporter.sysv.reader import QueueReader

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueueSettings:
    """What --collector.queues.* set; durations in seconds."""

    include: re.Pattern[str] | None = None  # on the queue label, anchored at both ends
    exclude: re.Pattern[str] | None = None
    max_series: int = 1000  # 0 = no limit
    sample_interval: float = 1.0
    peak_window: float = 60.0

    @property
    def filters(self) -> bool:
        """Whether there is anything that `wants` could refuse."""
        return bool(self.include or self.exclude)

    def wants(self, queue: str) -> bool:
        """Return whether a queue of this label gets series of its own."""
        if self.include and not self.include.fullmatch(queue):
            return False
        return not (self.exclude and self.exclude.fullmatch(queue))


class QueueSnapshot(NamedTuple):
    """One reading, and those of its queues that get series of their own."""

    everything: Queues
    chosen: Queues
    labels: Sequence[str]  # of the chosen; the same object as long as they are the same
    filtered: int  # left out by include, exclude
    limited: int  # left out by max-series


class Scrape:
    """What lives as long as one scrape: the reading that its collectors share."""

    def __init__(self, read: Callable[[], QueueSnapshot]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._queues: QueueSnapshot | None = None

    @property
    def queues(self) -> QueueSnapshot:
        """The queues, read when the first collector asks. Raises what reading raises, to each that asks."""
        with self._lock:
            if self._queues is None:
                self._queues = self._read()
            return self._queues


class SnapshotReader:
    """Reads snapshots, one per scrape; columns that have not changed are the same objects as in the last one."""

    def __init__(self, reader: QueueReader, names: QueueNames, settings: QueueSettings) -> None:
        self._reader = reader
        self._names = names
        self._settings = settings
        self._labels = MemoizeLast(labels)
        self._pick = MemoizeLast(_pick)
        self._state_log = StateLog(_log)

    def scrape(self) -> Scrape:
        """Return an object for one scrape; nothing is read yet."""
        return Scrape(self.read)

    def read(self) -> QueueSnapshot:
        """Read all queues now. Raises what the reader raises."""
        everything = self._reader.read()
        names = self._names.by_key()
        queues, queue = everything, self._labels(everything.key, everything.msqid, names)
        filtered = 0
        if self._settings.filters:
            wanted = [index for index, label in enumerate(queue) if self._settings.wants(label)]
            filtered = len(queue) - len(wanted)
            queues, queue = queues.select(wanted), self._pick(queue, wanted)
        limited = self._over_limit(len(queue))
        if limited:
            kept = fullest(queues, queue, set(names.values()), self._settings.max_series)
            queues, queue = queues.select(kept), self._pick(queue, kept)
        return QueueSnapshot(everything, queues, queue, filtered, limited)

    def _over_limit(self, count: int) -> int:
        limit = self._settings.max_series
        if not limit or count <= limit:
            self._state_log.resolved("series", "every queue has series of its own again")
            return 0
        self._state_log.problem(
            "series",
            f"there are more queues than --collector.queues.max-series={limit}: only the fullest have series of their "
            "own; raise it (0 = no limit), or leave queues out by --collector.queues.exclude",
        )
        return count - limit


def _pick(labels: Sequence[str], indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(labels[index] for index in indices)
