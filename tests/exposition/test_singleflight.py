"""Work asked for at once is done once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.exposition.singleflight import SingleFlight


def together(count: int, flight: SingleFlight[str, int], started: threading.Event, go: threading.Event) -> list[object]:
    """Let one begin, then the others join it, then let it end."""

    def ask() -> object:
        try:
            return flight.do("key")
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(count) as threads:
        first = threads.submit(ask)
        assert started.wait(10)
        others = [threads.submit(ask) for _ in range(count - 1)]
        while threads._work_queue.qsize():  # noqa: SLF001  # until each has a thread
            pass
        # Each other one is now at the lock or past it; the work is still under way, so all of them join it.
        threading.Event().wait(0.2)
        go.set()
        return [future.result(10) for future in (first, *others)]


@pytest.mark.parametrize("fails", [False, True])
def test_all_share_one_result_or_one_error(fails: bool) -> None:
    calls: list[int] = []
    started, go = threading.Event(), threading.Event()

    def work(_key: str) -> int:
        calls.append(1)
        started.set()
        assert go.wait(10)
        if fails:
            raise RuntimeError("no")
        return len(calls)

    flight = SingleFlight(work)
    assert together(8, flight, started, go) == (["no"] if fails else [1]) * 8
    assert len(calls) == 1


def test_the_next_one_works_anew() -> None:
    """Also after an error."""
    outcomes: Iterator[int | Exception] = iter([1, RuntimeError("no"), 3])

    def work(_key: str) -> int:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    flight = SingleFlight(work)
    assert flight.do("key") == 1
    with pytest.raises(RuntimeError):
        flight.do("key")
    assert flight.do("key") == 3


def test_other_keys_are_other_work() -> None:
    """One key's work may be done while another's is under way, by the same thread even."""
    flight: SingleFlight[int, int] = SingleFlight(lambda key: key and 10 * key + flight.do(key - 1))
    assert flight.do(3) == 60
