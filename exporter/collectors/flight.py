"""Collects: one thread runs those of a gathering in turn, and no slow one holds up the others.

On an ordinary host a collect takes 10 to 100 microseconds, and waking a thread for it half as long again. So a
gathering hands all of its collects to the lane, which is one thread. Those that the lane has not begun after a moment
are hurried on, each to a thread of its own. No collector runs twice at once.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family


class Outcome(NamedTuple):
    """What one collect came to."""

    families: list[Family | LibraryMetric]
    success: int
    duration: float  # seconds


FAILED: Final = Outcome([], 0, 0.0)


class Collect:
    """One collect, run by the first thread that has time for it."""

    def __init__(self, work: Callable[[], Outcome]) -> None:
        """`work` never raises."""
        self._work = [work]
        self._claim = threading.Lock()
        self.outcome: Future[Outcome] = Future()

    @property
    def is_begun(self) -> bool:
        """Whether a thread runs it, or has run it."""
        return self._claim.locked()

    def run(self) -> None:
        """Run it, unless it has begun."""
        if self._claim.acquire(blocking=False):
            # Taken out, as it holds a scrape, and so all queues.
            self.outcome.set_result(self._work.pop()())

    def give_up(self) -> None:
        """Let it fail, unless it has begun."""
        if self._claim.acquire(blocking=False):
            self.outcome.set_result(FAILED)


class Lane:
    """The thread that runs the collects of one gathering in turn.

    It starts with the first gathering and is a daemon. While a collect hangs in it, the lane is occupied.
    """

    def __init__(self) -> None:
        self._is_free = threading.Lock()
        self._gatherings: queue.SimpleQueue[tuple[Sequence[Collect], threading.Event]] = queue.SimpleQueue()
        self._is_started = False

    def run(self, collects: Sequence[Collect], patience: float) -> None:
        """Return when all are done, or after `patience` seconds; at once, with none begun, if the lane is occupied."""
        if not self._is_free.acquire(blocking=False):
            return
        if not self._is_started:
            try:
                threading.Thread(target=self._run, name="collect", daemon=True).start()
            except RuntimeError:  # the system allows no further thread
                self._is_free.release()
                return
            self._is_started = True
        done = threading.Event()
        self._gatherings.put((collects, done))
        done.wait(patience)

    def _run(self) -> None:
        while True:
            self._serve()

    def _serve(self) -> None:
        # A function of its own: its variables would keep the families until the next gathering.
        collects, done = self._gatherings.get()
        for collect in collects:
            collect.run()
        self._is_free.release()
        done.set()


class CollectorThread:
    """The thread for a collector that the lane has no time for.

    It starts when it is first needed and is a daemon: a collect that hangs costs this one thread.
    """

    def __init__(self, name: str, collect: Callable[[Scrape], Outcome]) -> None:
        """`collect` never raises."""
        self._name = name
        self._collect = collect
        self._lock = threading.Lock()
        self._latest: Collect | None = None
        self._jobs: queue.SimpleQueue[Collect] = queue.SimpleQueue()
        self._is_started = False

    def ask(self, scrape: Scrape) -> Collect:
        """Return the collect that is under way or to come, or else a new one with this scrape."""
        with self._lock:
            if self._latest is None or self._latest.outcome.done():
                self._latest = Collect(lambda: self._collect(scrape))
            return self._latest

    def hurry(self, collect: Collect) -> None:
        """Run it here, unless it has begun. Raises RuntimeError if the system allows no further thread."""
        with self._lock:
            if collect.is_begun:
                return
            if not self._is_started:
                threading.Thread(target=self._run, name=f"collect {self._name}", daemon=True).start()
                self._is_started = True
        self._jobs.put(collect)

    def _run(self) -> None:
        while True:
            self._jobs.get().run()
