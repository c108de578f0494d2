"""Runs the collectors: each is timed, and may fail alone."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.base import Collector, PartialResultError
from exporter.collectors.flight import Collect, CollectorThread, Lane, Outcome
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


_STOP_WITHIN: Final = 1.5  # seconds
_HEAD_START: Final = 0.05  # seconds for the collects in turn; then those to come run side by side
_TIMEOUT: Final = 20.0  # seconds for a gathering, if it is not known how long the client waits


class Runner:
    """Asks all collectors, in turn while each is quick, side by side otherwise."""

    def __init__(self, collectors: Mapping[str, Collector], new_scrape: Callable[[], Scrape]) -> None:
        """`new_scrape` makes the object that the collectors of one scrape share."""
        self._collectors = collectors
        self._threads = {name: CollectorThread(name, partial(self._collect, name)) for name in collectors}
        self._lane = Lane()
        self._new_scrape = new_scrape
        self._state_log = StateLog(_log)
        self._reconfiguring = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of the collectors that are active, in the order in which they are asked."""
        return [name for name, collector in self._collectors.items() if collector.active]

    @property
    def all_names(self) -> list[str]:
        """Names of all collectors that are switched on, active or not."""
        return list(self._collectors)

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

    def stop(self, within: float = _STOP_WITHIN) -> None:
        """Stop every collector, side by side, each of which may take a second; leave behind what takes longer."""
        deadline = time.monotonic() + within
        threads = []
        for name, collector in self._collectors.items():
            thread = threading.Thread(target=self._stop, args=(name, collector), name=f"stop {name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system allows no further thread
                self._stop(name, collector)
            else:
                threads.append(thread)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def gather(
        self, names: Collection[str] | None = None, timeout: float | None = None
    ) -> list[Family | LibraryMetric]:
        """Return what the active collectors (of these names, if given) hold, and how each fared. Never raises.

        A collector that is not done within `timeout` seconds is reported as failed, and its late result is thrown away.
        """
        timeout = _TIMEOUT if timeout is None else timeout
        start = time.perf_counter()
        scrape = self._new_scrape()
        asked = [name for name in self.names if names is None or name in names]
        collects = {name: self._threads[name].ask(scrape) for name in asked}
        self._lane.run(list(collects.values()), min(_HEAD_START, timeout))
        for name, collect in collects.items():
            self._hurry(name, collect)
        outcomes = [self._wait(name, collect, start + timeout, timeout) for name, collect in collects.items()]
        return [
            *(family for outcome in outcomes for family in outcome.families),
            DURATION.family([outcome.duration for outcome in outcomes], asked),
            SUCCESS.family([outcome.success for outcome in outcomes], asked),
        ]

    def _hurry(self, name: str, collect: Collect) -> None:
        try:
            self._threads[name].hurry(collect)
        except RuntimeError as error:
            self._state_log.problem(name, f"collector {name} failed: {error}", collector=name)
            collect.give_up()

    def _wait(self, name: str, collect: Collect, deadline: float, timeout: float) -> Outcome:
        try:
            outcome = collect.outcome.result(max(0.0, deadline - time.perf_counter()))
        except TimeoutError:
            self._state_log.problem(
                f"{name} in time", f"collector {name} takes longer than the scrape may", collector=name
            )
            return Outcome([], 0, timeout)
        self._state_log.resolved(f"{name} in time", f"collector {name} is in time again", collector=name)
        return outcome

    def _stop(self, name: str, collector: Collector) -> None:
        try:
            collector.stop()
        except Exception as error:  # noqa: BLE001  # logged whole; the others must go on
            _log.exception("collector does not stop", extra={"fields": {"collector": name, "error": error}})

    def _collect(self, name: str, scrape: Scrape) -> Outcome:
        """Run one collect. Never raises; called in the collector's own thread."""
        start = time.perf_counter()
        families, success = self._try(name, self._collectors[name], scrape)
        return Outcome(families, success, time.perf_counter() - start)

    def _try(self, name: str, collector: Collector, scrape: Scrape) -> tuple[list[Family | LibraryMetric], int]:
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
