"""What the exporter says of itself: build, configuration, its own HTTP requests, its process."""

import platform
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client import Metric as LibraryMetric

import exporter
from exporter.exposition.families import Family, Metric

BUILD_INFO: Final = Metric(
    "openvpn_mq_exporter_build_info",
    "gauge",
    "Version and commit of the exporter, and of the Python that runs it; always 1.",
    ("version", "revision", "pythonversion"),
)
CONFIG_SUCCESSFUL: Final = Metric(
    "openvpn_mq_exporter_config_last_reload_successful",
    "gauge",
    "1 where the configuration was taken the last time it was read.",
)
CONFIG_SUCCESS_TIME: Final = Metric(
    "openvpn_mq_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When a configuration was last taken.",
)
REQUESTS: Final = Metric(
    "promhttp_metric_handler_requests_total",
    "counter",
    "Requests for the metrics that were answered, by HTTP status code.",
    ("code",),
)
IN_FLIGHT: Final = Metric(
    "promhttp_metric_handler_requests_in_flight", "gauge", "Requests for the metrics that are being answered."
)


def revision() -> str:
    """The commit that this was built from; "unknown" where the build could not tell."""
    try:
        return Path(exporter.__file__).with_name("REVISION").read_text().strip()
    except OSError:
        return "unknown"


_CODES: Final = ("200", "400", "500", "503")


class SelfMetrics:
    """One a process; the web side counts its requests here."""

    def __init__(self, procfs: Path, *, exporter_metrics: bool) -> None:
        """`exporter_metrics`: with promhttp_*, process_* and python_info."""
        self._config_time = time.time()
        self._open = 0
        self._idle = threading.Condition()
        self._requests = REQUESTS.counter()
        for code in _CODES:
            self._requests.labels(code)
        self._in_flight = IN_FLIGHT.gauge()
        self._registry = CollectorRegistry()
        if exporter_metrics:
            ProcessCollector(proc=str(procfs), registry=self._registry)
            PlatformCollector(registry=self._registry)
            self._registry.register(self._requests)
            self._registry.register(self._in_flight)

    def begin(self) -> None:
        """A request for the metrics came."""
        with self._idle:
            self._open += 1
        self._in_flight.inc()

    def end(self, code: int) -> None:
        """It was answered with this status."""
        self._in_flight.dec()
        self._requests.labels(str(code)).inc()
        with self._idle:
            self._open -= 1
            self._idle.notify_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no request is being answered; False where that takes longer."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, seconds)

    def families(self) -> list[Family]:
        """What identifies this run."""
        return [
            BUILD_INFO.family([1], [exporter.__version__], [revision()], [platform.python_version()]),
            CONFIG_SUCCESSFUL.family([1]),
            CONFIG_SUCCESS_TIME.family([self._config_time]),
        ]

    def client_metrics(self) -> Iterable[LibraryMetric]:
        """What prometheus_client holds."""
        return self._registry.collect()
