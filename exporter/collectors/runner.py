"""Runs the collectors: each is timed, and may fail alone."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.base import Collector, PartialResultError
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config
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
    "1 if the collector could read all of its source, else 0.",
    ("collector",),
)


_STOP_WITHIN: Final = 1.5  # seconds; what hangs for longer is left behind: its threads are daemons


class Runner:
    """Asks each collector in turn."""

    def __init__(self, collectors: Mapping[str, Collector], new_scrape: Callable[[], Scrape]) -> None:
        """`new_scrape` makes the object that the collectors of one scrape share."""
        self._collectors = collectors
        self._new_scrape = new_scrape
        self._state_log = StateLog(_log)
        self._reconfiguring = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of the collectors that are active, in the order in which they are asked."""
        return [name for name, collector in self._collectors.items() if collector.active]

    def start(self) -> None:
        """Start every collector; one that cannot start is logged, and asked all the same."""
        for name, collector in self._collectors.items():
            try:
                collector.start()
            except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
                _log.exception("collector cannot start", extra={"fields": {"collector": name, "error": error}})

    def reconfigure(self, config: Config) -> None:
        """Let every collector adopt a new configuration; one that cannot is logged. Any thread may call it."""
        with self._reconfiguring:
            for name, collector in self._collectors.items():
                try:
                    collector.reconfigure(config)
                except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
                    fields = {"collector": name, "error": error}
                    _log.exception("collector cannot adopt the configuration", extra={"fields": fields})

    def stop(self) -> None:
        """Stop every collector, side by side: each may take up to a second."""
        threads = [
            threading.Thread(target=self._stop, args=item, name=f"stop {item[0]}", daemon=True)
            for item in self._collectors.items()
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _STOP_WITHIN
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def gather(self, names: Collection[str] | None = None) -> list[Family | LibraryMetric]:
        """Return what the active collectors (of these names, if given) hold, and how each fared. Never raises."""
        scrape = self._new_scrape()
        gathered: list[Family | LibraryMetric] = []
        asked: list[str] = []
        durations: list[float] = []
        successes: list[int] = []
        for name in self.names if names is None else [name for name in self.names if name in names]:
            start = time.perf_counter()
            families, success = self._ask(name, self._collectors[name], scrape)
            gathered += families
            asked.append(name)
            durations.append(time.perf_counter() - start)
            successes.append(success)
        return [*gathered, DURATION.family(durations, asked), SUCCESS.family(successes, asked)]

    def _stop(self, name: str, collector: Collector) -> None:
        try:
            collector.stop()
        except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
            _log.exception("collector does not stop", extra={"fields": {"collector": name, "error": error}})

    def _ask(self, name: str, collector: Collector, scrape: Scrape) -> tuple[list[Family | LibraryMetric], int]:
        try:
            families = list(collector.collect(scrape))
        except PartialResultError as fault:
            self._state_log.problem(name, f"collector {name}: {fault}", collector=name)
            return list(fault.families), 0
        except Exception as error:  # noqa: BLE001  # whatever it is: one collector's failure must not be another's
            self._state_log.problem(name, f"collector {name} failed: {_sentence(error)}", collector=name)
            _log.debug("collector failed", exc_info=True, extra={"fields": {"collector": name}})
            return [], 0
        self._state_log.resolved(name, f"collector {name} works again", collector=name)
        return families, 1


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
