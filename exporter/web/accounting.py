"""Accounting of the requests for the metrics: how many are under way, and how they were answered."""

import threading
from collections.abc import Iterable
from typing import Final

from prometheus_client import Metric as LibraryMetric

from exporter.exposition.families import Metric

REQUESTS: Final = Metric(
    "promhttp_metric_handler_requests_total",
    "counter",
    "Requests for the metrics that were answered, by HTTP status code.",
    ("code",),
)
IN_FLIGHT: Final = Metric(
    "promhttp_metric_handler_requests_in_flight", "gauge", "Requests for the metrics that are being answered."
)
_CODES: Final = ("200", "400", "500", "503")


class RequestAccounting:
    """Counts the requests for the metrics, and bounds how many are under way. Any thread may call it."""

    def __init__(self, limit: int) -> None:
        """`limit`: how many may be under way at once; 0 = any number."""
        self.limit = limit
        self._lock = threading.Lock()
        self._in_flight = 0
        self._requests = REQUESTS.counter()
        for code in _CODES:
            self._requests.labels(code)
        self._gauge = IN_FLIGHT.gauge()

    def begin(self, *, is_known: bool) -> bool:
        """Count a request as under way; return False, and count nothing, if there are too many.

        A quarter of the places is kept for clients that are known, so that a flood of new ones does not keep out a
        Prometheus whose connection has been served before.
        """
        with self._lock:
            if self.limit and self._in_flight >= self.limit - (0 if is_known else self.limit // 4):
                return False
            self._in_flight += 1
        self._gauge.inc()
        return True

    def end(self, code: int) -> None:
        """Count a request that `begin` let in as answered with this status."""
        with self._lock:
            self._in_flight -= 1
        self._gauge.dec()
        self.refuse(code)

    def refuse(self, code: int) -> None:
        """Count a request that was not let in."""
        self._requests.labels(str(code)).inc()

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return self._in_flight

    def collect(self) -> Iterable[LibraryMetric]:
        """Return the counter and the gauge."""
        return [*self._requests.collect(), *self._gauge.collect()]
