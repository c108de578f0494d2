"""Collectors are timed, and fail alone."""

import logging

import pytest
from prometheus_client import Metric as LibraryMetric

from exporter.collectors.base import Collector, Families, PartialResultError
from exporter.collectors.runner import Runner
from exporter.exposition.families import Family, Metric

ONE = Metric("one", "gauge", "One.")


class Good(Collector):
    def collect(self) -> Families:
        return [ONE.family([1])]


class Moody(Collector):
    """Fails in the way it is told."""

    def __init__(self) -> None:
        self.mood: Exception | None = None

    def collect(self) -> Families:
        yield ONE.family([2])
        if self.mood:
            raise self.mood


class Unstartable(Good):
    def start(self) -> None:
        raise RuntimeError("no start")

    def stop(self) -> None:
        raise RuntimeError("no stop")


def values(gathered: list[Family | LibraryMetric], name: str) -> dict[str, float]:
    """By collector."""
    for family in gathered:
        if isinstance(family, Family) and family.metric.name == name:
            return dict(zip(family.columns[0], family.values, strict=True))
    raise AssertionError(name)


def ones(gathered: list[Family | LibraryMetric]) -> list[float]:
    return [family.values[0] for family in gathered if isinstance(family, Family) and family.metric is ONE]


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        (RuntimeError("it broke"), "it broke"),
        (PermissionError(13, "Permission denied", "/some/file"), "/some/file: Permission denied"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_failure_is_isolated_and_told_once(mood: Exception, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    """The other collector is served; half of a failed one is not; recovery is told."""
    caplog.set_level(logging.INFO)
    moody = Moody()
    runner = Runner({"moody": moody, "good": Good()})
    moody.mood = mood
    for _ in range(3):
        gathered = runner.gather()
    assert ones(gathered) == [1]
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"moody": 0, "good": 1}
    assert [record.getMessage() for record in caplog.records] == [f"collector moody failed: {sentence}"]
    moody.mood = None
    gathered = runner.gather()
    assert ones(gathered) == [2, 1]
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"moody": 1, "good": 1}
    assert caplog.records[-1].getMessage() == "collector moody works again"


def test_what_is_known_is_served_beside_a_fault() -> None:
    moody = Moody()
    moody.mood = PartialResultError("one of two files is gone", [ONE.family([7])])
    gathered = Runner({"moody": moody}).gather()
    assert ones(gathered) == [7]
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"moody": 0}


def test_durations_are_measured() -> None:
    durations = values(Runner({"good": Good()}).gather(), "openvpn_mq_scrape_collector_duration_seconds")
    assert 0 < durations["good"] < 10


def test_one_that_cannot_start_or_stop_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner({"a": Unstartable(), "b": Good()})
    runner.start()
    assert ones(runner.gather()) == [1, 1]
    runner.stop()
    assert [record.getMessage() for record in caplog.records] == ["collector cannot start", "collector does not stop"]
