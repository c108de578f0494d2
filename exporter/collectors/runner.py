"""Runs the collectors: timed, and each allowed to fail alone."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.base import Collector, PartialResultError
from exporter.exposition.families import Family, Metric
from exporter.logs import StateLog

_log = logging.getLogger(__name__)

DURATION: Final = Metric(
    "openvpn_mq_scrape_collector_duration_seconds",
    "gauge",
    "How long the collector took for this scrape.",
    ("collector",),
)
SUCCESS: Final = Metric(
    "openvpn_mq_scrape_collector_success",
    "gauge",
    "1 where the collector could read all of its source, else 0.",
    ("collector",),
)


class Runner:
    """Asks each collector in turn."""

    def __init__(self, collectors: Mapping[str, Collector], before: Callable[[], None] = lambda: None) -> None:
        """`before` is called when a scrape begins."""
        self._collectors = collectors
        self._before = before
        self._notices = StateLog(_log)

    @property
    def names(self) -> list[str]:
        """Of the collectors, in the order in which they are asked."""
        return list(self._collectors)

    def start(self) -> None:
        """Start every collector; one that cannot start says so and is asked all the same."""
        for name, collector in self._collectors.items():
            try:
                collector.start()
            except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
                _log.exception("collector cannot start", extra={"fields": {"collector": name, "error": error}})

    def stop(self) -> None:
        """Stop every collector."""
        for name, collector in self._collectors.items():
            try:
                collector.stop()
            except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
                _log.exception("collector does not stop", extra={"fields": {"collector": name, "error": error}})

    def gather(self) -> list[Family | LibraryMetric]:
        """What all collectors have to say, and how each of them fared. Never raises."""
        self._before()
        gathered: list[Family | LibraryMetric] = []
        durations: list[float] = []
        successes: list[int] = []
        for name, collector in self._collectors.items():
            begin = time.perf_counter()
            families, success = self._ask(name, collector)
            gathered += families
            durations.append(time.perf_counter() - begin)
            successes.append(success)
        names = list(self._collectors)
        return [*gathered, DURATION.family(durations, names), SUCCESS.family(successes, names)]

    def _ask(self, name: str, collector: Collector) -> tuple[list[Family | LibraryMetric], int]:
        try:
            families = list(collector.collect())
        except PartialResultError as fault:
            self._notices.problem(name, f"collector {name} cannot read all: {fault}", collector=name)
            return list(fault.families), 0
        except Exception as error:  # noqa: BLE001  # whatever it is: one collector's failure must not be another's
            self._notices.problem(name, f"collector {name} failed: {_sentence(error)}", collector=name)
            _log.debug("collector failed", exc_info=True, extra={"fields": {"collector": name}})
            return [], 0
        self._notices.resolved(name, f"collector {name} works again", collector=name)
        return families, 1


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
