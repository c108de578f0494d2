"""Peaks: the highest sample of the window, and the sampler's bounded cost."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sysv.peaks import Peaks
from exporter.sysv.queues import NO_QUEUES, Queues
from exporter.sysv.reader import QueueReader
from exporter.sysv.sampler import Sampler
from tests.support.kernel import make


def sample(contents: dict[int, tuple[int, int]]) -> Queues:
    """Queues of which only msqid, bytes and messages matter."""
    msqids = list(contents)
    return Queues(*([0] * len(msqids) for _ in Queues._fields))._replace(
        msqid=msqids,
        cbytes=[cbytes for cbytes, _ in contents.values()],
        qnum=[qnum for _, qnum in contents.values()],
    )


contents = st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 1 << 40), st.integers(0, 1000)), max_size=6)


pause = st.one_of(st.floats(0, 3), st.floats(0, 40))


@given(st.lists(st.tuples(pause, contents), min_size=1, max_size=40))
def test_peaks_are_those_of_a_plain_list(steps: list[tuple[float, dict[int, tuple[int, int]]]]) -> None:
    """At least the maximum of the last 60 s, and never more than that of the last 62 s (a slot at either end)."""
    peaks = Peaks(60)
    now = 0.0
    past: list[tuple[float, dict[int, tuple[int, int]]]] = []
    for pause, content in steps:
        now += pause
        peaks.add(now, sample(content))
        past.append((now, content))
        found = list(zip(*peaks.highest(now, list(content)), strict=True))
        for (msqid, (cbytes, qnum)), (peak_bytes, peak_messages) in zip(content.items(), found, strict=True):
            within = [values[msqid] for moment, values in past if now - moment <= 60 and msqid in values]
            around = [values[msqid] for moment, values in past if now - moment <= 62 and msqid in values]
            assert max(cbytes, *(b for b, _ in within)) <= peak_bytes <= max(b for b, _ in around)
            assert max(qnum, *(m for _, m in within)) <= peak_messages <= max(m for _, m in around)


def test_memory_is_bounded_however_short_the_interval() -> None:
    """A sample every millisecond leaves no more than the window's slots."""
    peaks = Peaks(60)
    for step in range(100_000):
        peaks.add(step / 1000, sample({1: (step % 977, 1)}))
    (run,) = peaks._runs  # noqa: SLF001  # the bound is not visible from outside
    assert len(run._older) + len(run._newer) <= 63  # noqa: SLF001
    assert peaks.highest(100, [1]) == ([976], [1])


def test_a_queue_made_anew_starts_anew() -> None:
    """Its msqid is another one, so the peak of the queue before it is not its own."""
    peaks = Peaks(60)
    peaks.add(0, sample({1: (5000, 50)}))
    peaks.add(1, sample({32769: (10, 1)}))
    assert peaks.highest(1, [32769]) == ([10], [1])


@pytest.mark.usefixtures("queues")
def test_a_burst_between_two_scrapes_is_seen() -> None:
    """It came and went while nobody scraped."""
    queue = make(1)
    reader = QueueReader(Path("/proc"))
    peaks = Peaks(60)
    sampler = Sampler(reader, peaks, 0.01)
    sampler.start()
    try:
        for _ in range(10):
            queue.send(b"x" * 100)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            queues = reader.read()
            if _peak(peaks, queue.id) == (1000, 10):
                break
            time.sleep(0.01)
        for _ in range(10):
            queue.receive()
        queues = reader.read()
        assert queues.qnum == [0]
        assert _peak(peaks, queue.id) == (1000, 10)
    finally:
        sampler.stop()


def _peak(peaks: Peaks, msqid: int) -> tuple[int, int]:
    (cbytes,), (qnum,) = peaks.highest(time.monotonic(), [msqid])
    return cbytes, qnum


class FakeReader:
    def read(self) -> Queues:
        return NO_QUEUES


class BrokenReader:
    def read(self) -> Queues:
        raise PermissionError(13, "Permission denied", "/proc/sysvipc/msg")


def clock(*moments: float) -> Iterator[float]:
    yield from moments


@pytest.mark.parametrize(("cost", "pause"), [(0.001, 1.0), (0.0099, 1.0), (0.05, 5.0), (0.2, 20.0)])
def test_the_sampler_slows_itself_down(cost: float, pause: float) -> None:
    """A sample that costs more than a hundredth of the interval is followed by a hundredfold pause."""
    times = clock(10.0, 10.0 + cost)
    sampler = Sampler(FakeReader(), Peaks(60), 1.0, cpu_time=lambda: next(times))  # type: ignore[arg-type]
    assert sampler.sample() == pytest.approx(pause)


def test_a_failing_sample_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The sampler goes on; a line a second would fill the log."""
    sampler = Sampler(BrokenReader(), Peaks(60), 1.0)  # type: ignore[arg-type]
    for _ in range(3):
        assert sampler.sample() >= 1.0
    (record,) = caplog.records
    assert "cannot sample" in record.getMessage()
