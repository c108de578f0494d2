"""Threads that follow files and journal units, one per source."""

import threading
import time
from functools import partial
from typing import Final

from exporter.background import STOP_WITHIN, BackgroundThread
from exporter.follow.base import Source

_INTERVAL: Final = 0.5  # seconds between two polls of a source that has nothing more, a few system calls each


class Follower:
    """Follows each source in a thread of its own: one that hangs delays neither the others nor the stop."""

    def __init__(self) -> None:
        self._threads: dict[Source, BackgroundThread] = {}
        self._refusals: dict[Source, str] = {}  # of sources whose thread could not be started
        self._lock = threading.Lock()

    def add(self, source: Source) -> None:
        """Follow a source from now on, and the others as before; `refusal` tells if no thread can be started."""
        thread = BackgroundThread("follow", partial(self._round, source))
        with self._lock:
            self._threads[source] = thread
        try:
            thread.start()
        except RuntimeError as error:  # TasksMax= is used up
            self._refusals[source] = str(error)

    def refusal(self, source: Source) -> str | None:
        """Return why the system gave the source no thread; None if it did, or if the source was not added."""
        return self._refusals.get(source)

    def remove(self, *sources: Source) -> None:
        """Stop following sources, all at once, and close them; one that hangs is left behind after a second."""
        with self._lock:
            threads = {source: self._threads.pop(source) for source in sources if source in self._threads}
        for source in sources:
            self._refusals.pop(source, None)
        deadline = time.monotonic() + STOP_WITHIN
        for thread in threads.values():
            thread.request_stop()
        for source, thread in threads.items():
            if thread.stop(max(0.0, deadline - time.monotonic())):
                source.close()

    def stop(self) -> None:
        """Remove all sources; the position of each that does not hang is saved by then."""
        with self._lock:
            sources = list(self._threads)
        self.remove(*sources)

    def _round(self, source: Source) -> float:
        more = source.step(time.monotonic())
        with self._lock:
            left_behind = source not in self._threads
        if left_behind:
            source.close()  # `remove` may not have waited for this poll to return
        return 0.0 if more else _INTERVAL
