"""Background threads go on after an exception, say so, and stop within a bound."""

import logging
import threading
import time

import pytest

from exporter.background import BackgroundThread


def until(condition: threading.Event) -> None:
    assert condition.wait(10)


def test_rounds_follow_each_other_until_stop() -> None:
    rounds = 0
    enough = threading.Event()

    def work() -> float:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()
        return 0.001

    thread = BackgroundThread("t", work)
    assert (thread.is_alive, thread.fault) == (False, None)
    thread.start()
    until(enough)
    assert thread.is_alive
    assert thread.stop()
    assert not thread.is_alive
    counted = rounds
    time.sleep(0.05)
    assert rounds == counted
    assert thread.fault is None  # stopped on purpose


def test_an_exception_is_a_fault_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """Logged once, however often it comes; the thread lives on and recovers by itself."""
    caplog.set_level(logging.INFO)
    mended, failed, went_on = threading.Event(), threading.Event(), threading.Event()
    failures = 0

    def work() -> float:
        nonlocal failures
        if mended.is_set():
            went_on.set()
            return 0.001
        failures += 1
        if failures == 3:
            failed.set()
        raise ValueError("odd")

    thread = BackgroundThread("t", work, rest_after_fault=0.001)
    thread.start()
    until(failed)
    assert thread.fault == "ValueError: odd"
    mended.set()
    until(went_on)
    assert thread.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "background thread t failed: ValueError: odd",
        "background thread t works again",
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_a_fault() -> None:
    """Nothing that Python can catch ends it; SystemExit stands in for what would."""

    def work() -> float:
        raise SystemExit

    thread = BackgroundThread("t", work)
    thread.start()
    while thread.is_alive:
        time.sleep(0.001)
    assert thread.fault == "the background thread t has ended"


def test_a_stop_does_not_wait_for_what_hangs(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    entered = threading.Event()

    def work() -> float:
        entered.set()
        release.wait()
        return 0

    thread = BackgroundThread("stuck", work)
    thread.start()
    until(entered)
    start = time.monotonic()
    assert not thread.stop(within=0.1)
    assert 0.1 <= time.monotonic() - start < 5
    assert "left behind" in caplog.text
    release.set()


def test_a_long_rest_ends_with_the_stop() -> None:
    rested = threading.Event()

    def work() -> float:
        rested.set()
        return 3600

    thread = BackgroundThread("t", work)
    thread.start()
    until(rested)
    assert thread.stop()


def test_a_stop_before_the_start_and_from_within() -> None:
    assert BackgroundThread("never", lambda: 0).stop()
    stopped = threading.Event()

    def work() -> float:
        thread.stop()
        stopped.set()
        return 0

    thread = BackgroundThread("t", work)
    thread.start()
    until(stopped)
    assert thread.stop()
