"""Reads the queues between scrapes, so that a burst that came and went leaves its peak."""

import logging
import time
from collections.abc import Callable
from typing import Final

from exporter.background import BackgroundThread
from exporter.logs import StateLog
from exporter.sysv.peaks import Peaks
from exporter.sysv.queues import MalformedError
from exporter.sysv.reader import QueueReader

_log = logging.getLogger(__name__)

_SHARE: Final = 0.01  # of a core: the most that sampling may take


class Sampler:
    """A thread that feeds `Peaks` every `interval` seconds, less often if a sample costs more than its share."""

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
        self._state_log = StateLog(_log)
        self._thread = BackgroundThread("sampler", self.sample)

    @property
    def fault(self) -> str | None:
        """Why nothing is sampled; None while all is well. Unreadable queues are the scrape's own fault to report."""
        return self._thread.fault

    def start(self) -> None:
        """Start to sample, at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; wait for a sample under way."""
        self._thread.stop()

    def sample(self) -> float:
        """Take one sample; return the seconds to rest until the next."""
        before = self._cpu_time()
        try:
            queues = self._reader.read()
        except (OSError, MalformedError) as error:  # the scrape reports the same in its own way
            self._state_log.problem("read", f"cannot sample the queues between scrapes: {error}")
        else:
            self._peaks.add(time.monotonic(), queues)
            self._state_log.resolved("read", "sampling the queues again")
        return max(self._interval, (self._cpu_time() - before) / _SHARE)
