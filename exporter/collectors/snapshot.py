"""The queues of the present scrape: read once, labelled and chosen once, for every collector that speaks of queues."""

import logging
from typing import NamedTuple

from exporter.config.model import QueueSettings
from exporter.logs import StateLog
from exporter.memo import MemoizeLast
from exporter.sysv.names import QueueNames, labels
from exporter.sysv.queues import Queues
from exporter.sysv.reader import QueueReader
from exporter.sysv.selection import fullest

_log = logging.getLogger(__name__)


class Look(NamedTuple):
    """One reading, and those of its queues that get series of their own."""

    everything: Queues
    chosen: Queues
    labels: list[str]  # of the chosen; the same object as long as they are the same
    filtered: int  # left out by include, exclude
    limited: int  # left out by max-series


class ScrapedQueues:
    """Reads when first asked in a scrape, and gives the same until the next one begins."""

    def __init__(self, reader: QueueReader, names: QueueNames, settings: QueueSettings) -> None:
        self._reader = reader
        self._names = names
        self._settings = settings
        self._labels = MemoizeLast(labels)
        self._pick = MemoizeLast(_pick)
        self._look: Look | None = None
        self._notices = StateLog(_log)

    def forget(self) -> None:
        """A new scrape begins."""
        self._look = None

    def look(self) -> Look:
        """The queues. Raises what the reader raises, to each that asks."""
        if self._look is None:
            self._look = self._choose(self._reader.read())
        return self._look

    def _choose(self, everything: Queues) -> Look:
        names = self._names.by_key()
        queues, queue = everything, self._labels(everything.key, everything.msqid, names)
        filtered = 0
        if self._settings.filters:
            wanted = [place for place, label in enumerate(queue) if self._settings.wants(label)]
            filtered = len(queue) - len(wanted)
            queues, queue = queues.take(wanted), self._pick(queue, wanted)
        limited = self._over_limit(len(queue))
        if limited:
            kept = fullest(queues, queue, set(names.values()), self._settings.max_series)
            queues, queue = queues.take(kept), self._pick(queue, kept)
        return Look(everything, queues, queue, filtered, limited)

    def _over_limit(self, count: int) -> int:
        most = self._settings.max_series
        if not most or count <= most:
            self._notices.resolved("series", "every queue has series of its own again")
            return 0
        self._notices.problem(
            "series",
            f"there are more queues than --collector.queues.max-series={most}: only the fullest have series of their "
            "own; raise it (0 = no limit), or leave queues out by --collector.queues.exclude",
        )
        return count - most


def _pick(labels: list[str], places: list[int]) -> list[str]:
    return [labels[place] for place in places]
