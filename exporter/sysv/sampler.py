"""Reads the queues between scrapes, so that a burst that came and went leaves its peak."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from exporter.logs import StateLog
from exporter.sysv.peaks import Peaks
from exporter.sysv.reader import QueueReader

_log = logging.getLogger(__name__)

_SHARE: Final = 0.01  # of a core: the most that sampling may take


class Sampler:
    """A thread that feeds `Peaks` every `interval` seconds, less often where a sample costs more than its share."""

    def __init__(
        self,
        reader: QueueReader,
        peaks: Peaks,
        interval: float,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._reader = reader
        self._peaks = peaks
        self._interval = interval
        self._cpu_time = cpu_time
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._notices = StateLog(_log)

    def start(self) -> None:
        """Begin sampling, at once."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling; waits for a sample under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def sample(self) -> float:
        """Take one sample; returns the seconds to pause until the next."""
        before = self._cpu_time()
        try:
            queues = self._reader.read()
        except Exception as error:  # noqa: BLE001  # the scrape tells of the same fault in its own way; go on
            self._notices.problem("read", f"cannot sample the queues between scrapes: {error}")
        else:
            self._peaks.add(time.monotonic(), queues)
            self._notices.resolved("read", "sampling the queues again")
        return max(self._interval, (self._cpu_time() - before) / _SHARE)

    def _run(self) -> None:
        while not self._stopping.wait(self.sample()):
            pass
