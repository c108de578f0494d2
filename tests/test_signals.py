"""A signal ends the waiting, whichever thread gets it."""

import os
import signal
import threading
import time

import pytest

from exporter.signals import caught


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_another_thread(number: signal.Signals) -> None:
    """As the kernel may choose; the waiting main thread wakes all the same."""
    before = signal.getsignal(number)
    with caught([signal.SIGTERM, signal.SIGINT]) as next_signal:

        def signal_myself() -> None:
            time.sleep(0.3)  # until the main thread waits
            signal.pthread_kill(threading.get_ident(), number)

        other = threading.Thread(target=signal_myself)
        other.start()
        assert next_signal() == number
        other.join()
    assert signal.getsignal(number) is before


def test_a_signal_that_came_before_the_waiting() -> None:
    with caught([signal.SIGTERM]) as next_signal:
        os.kill(os.getpid(), signal.SIGTERM)
        assert next_signal() == signal.SIGTERM
