"""One thread that follows any number of files and journal units."""

import threading
import time
from collections.abc import Sequence
from typing import Final

from exporter.follow.base import Source

_INTERVAL: Final = 0.5  # seconds between looks, each a few system calls a file


class Follower:
    """Polls its sources in turn, a batch each, and rests when none has more."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batches under way; every position is saved by then."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for source in self._sources:
            source.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            busy = [source.step(time.monotonic()) for source in self._sources]
            if not any(busy):
                self._stopping.wait(_INTERVAL)
