"""Waiting for signals, whichever thread the kernel hands them to."""

import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def caught(numbers: Iterable[signal.Signals]) -> Iterator[Callable[[], int]]:
    """Catch these signals from now on; gives a function that waits for the next one and returns its number.

    A main thread that waits for a lock sleeps on when the kernel gives the signal to another thread. The interpreter
    writes its number into the wakeup descriptor from whatever thread got it, so waiting on that misses none. (Blocking
    the signals and sigwait would not either, but child processes would inherit the blocking.)
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = {number: signal.signal(number, lambda _number, _frame: None) for number in numbers}
        wakeup_before = signal.set_wakeup_fd(writing.fileno())
        try:
            yield lambda: reading.recv(1)[0]
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
