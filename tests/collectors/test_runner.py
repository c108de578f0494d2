"""Collectors are timed, and fail alone."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import Metric as LibraryMetric

from exporter.collectors.base import Collector, Families, PartialResultError
from exporter.collectors.runner import Runner
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.exposition.families import Family, Metric
from tests.support.pages import scrape

ONE = Metric("one", "gauge", "One.")


class Good(Collector):
    def collect(self, scrape: Scrape) -> Families:
        return [ONE.family([1])]


class Moody(Collector):
    """Fails in the way it is told."""

    def __init__(self) -> None:
        self.mood: Exception | None = None

    def collect(self, scrape: Scrape) -> Families:
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
    runner = Runner({"moody": moody, "good": Good()}, scrape)
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
    gathered = Runner({"moody": moody}, scrape).gather()
    assert ones(gathered) == [7]
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"moody": 0}


def test_durations_are_measured() -> None:
    durations = values(Runner({"good": Good()}, scrape).gather(), "openvpn_mq_scrape_collector_duration_seconds")
    assert 0 < durations["good"] < 10


def test_one_that_cannot_start_or_stop_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner({"a": Unstartable(), "b": Good()}, scrape)
    runner.start()
    assert ones(runner.gather()) == [1, 1]
    runner.stop()
    assert [record.getMessage() for record in caplog.records] == ["collector cannot start", "collector does not stop"]


class PerServer(Good):
    """Active while the configuration has servers."""

    def __init__(self) -> None:
        self.servers = 0

    @property
    def active(self) -> bool:
        return self.servers > 0

    def reconfigure(self, config: Config) -> None:
        if len(config.servers) > 1:
            raise RuntimeError("too many")
        self.servers = len(config.servers)


def test_a_collector_comes_and_goes_with_the_configuration(caplog: pytest.LogCaptureFixture) -> None:
    """One that is not active leaves no trace on the page; one that cannot adopt a configuration is logged."""
    collector = PerServer()
    runner = Runner({"a": collector, "b": Good()}, scrape)
    assert runner.names == ["b"]
    runner.reconfigure(Config(servers=(OpenVpnServer("s"),)))
    assert set(values(runner.gather(), "openvpn_mq_scrape_collector_success")) == {"a", "b"}
    runner.reconfigure(Config(servers=(OpenVpnServer("s"), OpenVpnServer("t"))))
    assert "collector cannot adopt the configuration" in caplog.text
    runner.reconfigure(Config())
    assert set(values(runner.gather(), "openvpn_mq_scrape_collector_success")) == {"b"}


def test_only_what_was_asked_for() -> None:
    runner = Runner({"a": Good(), "b": Good()}, scrape)
    assert set(values(runner.gather(["b", "unknown"]), "openvpn_mq_scrape_collector_success")) == {"b"}


def test_a_stop_takes_no_longer_than_the_slowest() -> None:
    """Collectors stop side by side, and one that hangs is left behind."""
    release = threading.Event()

    class Stuck(Good):
        def stop(self) -> None:
            release.wait()

    stopped = []

    class Clean(Good):
        def stop(self) -> None:
            stopped.append(1)

    start = time.monotonic()
    Runner({"a": Stuck(), "b": Stuck(), "c": Clean()}, scrape).stop()
    assert time.monotonic() - start < 3
    assert stopped == [1]
    release.set()


class Late(Collector):
    """Is done when it is let go; counts how often it runs at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = 0
        self.most = 0
        self.calls = 0

    def collect(self, scrape: Scrape) -> list[Family]:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        assert self.go.wait(20)
        self.running -= 1
        return [ONE.family([1])]


def test_one_that_is_late_fails_alone_and_the_rest_is_in_time(caplog: pytest.LogCaptureFixture) -> None:
    """Its success is 0 and the others' samples are there; once it is in time again, all is well."""
    caplog.set_level(logging.INFO)
    late = Late()
    runner = Runner({"late": late, "good": Good()}, scrape)
    start = time.monotonic()
    for _ in range(3):
        gathered = runner.gather(timeout=0.5)
        assert values(gathered, "openvpn_mq_scrape_collector_success") == {"late": 0, "good": 1}
        assert values(gathered, "openvpn_mq_scrape_collector_duration_seconds")["late"] == pytest.approx(0.5)
    assert time.monotonic() - start < 5
    assert late.calls == 1
    late.go.set()
    gathered = runner.gather(timeout=10)
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"late": 1, "good": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "collector late takes longer than the scrape may",
        "collector late is in time again",
    ]


def test_never_two_collects_of_one_collector_at_once() -> None:
    """Gatherings at once share a collect; a later one has its own."""
    late = Late()
    gatherings = threading.Barrier(5, timeout=20)

    def new_scrape() -> Scrape:
        if not late.go.is_set():
            gatherings.wait()  # however slowly the threads start
        return scrape()

    runner = Runner({"late": late}, new_scrape)
    with ThreadPoolExecutor(5) as threads:
        gathering = [threads.submit(runner.gather, timeout=20) for _ in range(5)]
        time.sleep(0.2)
        late.go.set()
        for each in gathering:
            assert values(each.result(20), "openvpn_mq_scrape_collector_success") == {"late": 1}
    assert (late.calls, late.most) == (1, 1)
    runner.gather()
    assert (late.calls, late.most) == (2, 1)


def test_collectors_run_side_by_side() -> None:
    """Each waits for the other here: one after the other, both would be late."""
    meeting = threading.Barrier(2)

    class Meeting(Good):
        def collect(self, scrape: Scrape) -> list[Family]:
            meeting.wait(10)
            return []

    gathered = Runner({"a": Meeting(), "b": Meeting()}, scrape).gather(timeout=10)
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"a": 1, "b": 1}


class Where(Good):
    """Remembers the threads that it ran in."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def collect(self, scrape: Scrape) -> Families:
        self.threads.append(threading.current_thread().name)
        return []


def test_quick_ones_share_a_thread_until_one_hangs() -> None:
    """What comes after one that hangs has a thread of its own; once nothing hangs, all share one again."""
    first, late, last = Where(), Late(), Where()
    late.go.set()
    runner = Runner({"first": first, "late": late, "last": last}, scrape)
    runner.gather()
    late.go.clear()
    for _ in range(3):  # in the first it hangs in the common thread, which is occupied from then on
        gathered = runner.gather(timeout=0.3)
        assert values(gathered, "openvpn_mq_scrape_collector_success") == {"first": 1, "late": 0, "last": 1}
    assert first.threads == ["collect", "collect", "collect first", "collect first"]
    assert last.threads == ["collect", "collect last", "collect last", "collect last"]
    assert late.calls == 2
    late.go.set()
    deadline = time.monotonic() + 20
    while (first.threads[-1], last.threads[-1]) != ("collect", "collect"):
        assert time.monotonic() < deadline, (first.threads, last.threads)
        gathered = runner.gather()
        assert values(gathered, "openvpn_mq_scrape_collector_success") == {"first": 1, "late": 1, "last": 1}


def test_nobody_asked_for_anything() -> None:
    """As with collect[] of a collector that is not active: an empty gathering, and all is as before."""
    where = Where()
    runner = Runner({"where": where}, scrape)
    for _ in range(2):
        assert values(runner.gather([]), "openvpn_mq_scrape_collector_success") == {}
        assert values(runner.gather(), "openvpn_mq_scrape_collector_success") == {"where": 1}
    assert where.threads == ["collect", "collect"]


def test_one_that_hangs_costs_no_more_with_each_scrape() -> None:
    late = Late()
    runner = Runner({"late": late, "good": Good()}, scrape)
    runner.gather(timeout=0.1)
    runner.gather(timeout=0.1)
    before = threading.active_count()
    for _ in range(20):
        runner.gather(timeout=0.01)
    assert threading.active_count() == before
    assert late.calls == 1
    late.go.set()


def test_no_thread_for_one_that_comes_after_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it fails, and the slow one is in time all the same."""

    class Slow(Good):
        def collect(self, scrape: Scrape) -> list[Family]:
            time.sleep(0.3)
            return [ONE.family([1])]

    runner = Runner({"slow": Slow(), "good": Good()}, scrape)
    started: list[str] = []
    start = threading.Thread.start

    def refuse_the_second(thread: threading.Thread) -> None:
        started.append(thread.name)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_second)
    gathered = runner.gather()
    assert values(gathered, "openvpn_mq_scrape_collector_success") == {"slow": 1, "good": 0}
    assert started == ["collect", "collect good"]


def test_no_thread_for_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, and is asked again as soon as there can be a thread."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner = Runner({"good": Good()}, scrape)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert values(runner.gather(), "openvpn_mq_scrape_collector_success") == {"good": 0}
    assert values(runner.gather(), "openvpn_mq_scrape_collector_success") == {"good": 1}
