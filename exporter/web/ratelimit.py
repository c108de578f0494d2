"""The token bucket behind `rate_limit`."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class RateLimit(NamedTuple):
    """One request per `interval` seconds, and up to `burst` at once."""

    interval: float
    burst: int


class RateLimiter:
    """Counts the requests of all clients together, as exporter-toolkit does."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(limit.burst)
        self._filled = clock()

    def allow(self) -> bool:
        """Take a token; return False if there is none."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._limit.burst, self._tokens + (now - self._filled) / self._limit.interval)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
