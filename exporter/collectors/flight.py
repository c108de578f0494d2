"""Collectors run side by side, each in a thread of its own, and never one twice at once."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family


class Outcome(NamedTuple):
    """What one collect came to."""

    families: list[Family | LibraryMetric]
    success: int
    duration: float  # seconds


class CollectorThread:
    """Runs the collects of one collector; callers that ask while one is under way get the same outcome.

    The thread starts with the first collect and is a daemon: a collect that hangs costs this one thread.
    """

    def __init__(self, name: str, collect: Callable[[Scrape], Outcome]) -> None:
        """`collect` never raises."""
        self._name = name
        self._collect = collect
        self._lock = threading.Lock()
        self._under_way: Future[Outcome] | None = None
        self._jobs: queue.SimpleQueue[tuple[Scrape, Future[Outcome]]] = queue.SimpleQueue()
        self._is_started = False

    def ask(self, scrape: Scrape) -> "Future[Outcome]":
        """Return the outcome to come: of the collect under way, or of a new one with this scrape."""
        with self._lock:
            if self._under_way is not None and not self._under_way.done():
                return self._under_way
            future: Future[Outcome] = Future()
            self._under_way = future
            self._start()
        self._jobs.put((scrape, future))
        return future

    def _start(self) -> None:
        """Start the thread if there is none. Raises RuntimeError if the system allows no further one."""
        if not self._is_started:
            try:
                threading.Thread(target=self._run, name=f"collect {self._name}", daemon=True).start()
            except RuntimeError:
                self._under_way = None
                raise
            self._is_started = True

    def _run(self) -> None:
        while True:
            scrape, future = self._jobs.get()
            future.set_result(self._collect(scrape))
            del scrape, future  # or the families would live on until the next collect
