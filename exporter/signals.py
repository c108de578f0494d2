"""Waiting for signals, whichever thread the kernel delivers them to, and for work that must not block that waiting."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

WOKEN = 0  # what `next` returns when no signal came but work has ended; no signal has this number


class Signals:
    """The signals that have arrived, one after the other."""

    def __init__(self, reading: socket.socket, writing: socket.socket) -> None:
        self._reading = reading
        self._writing = writing

    def next(self, timeout: float | None = None) -> int | None:
        """Wait for the next signal; return its number, WOKEN if work has ended, None after `timeout` seconds."""
        self._reading.settimeout(timeout)
        try:
            return self._reading.recv(1)[0]
        except (TimeoutError, BlockingIOError):
            return None

    def in_background(self, name: str, work: Callable[[], T]) -> "Future[T]":
        """Run `work` in a thread of its own; `next` returns WOKEN when it has ended.

        The thread is a daemon: work that hangs does not keep the process alive. Raises RuntimeError if the system
        allows no further thread.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  # handed to the caller, through the future
                future.set_exception(error)
            self._wake()

        threading.Thread(target=run, name=name, daemon=True).start()
        return future

    def _wake(self) -> None:
        # It fails if the buffer is full, so that `next` returns anyway, and if it is no longer called.
        with contextlib.suppress(OSError):
            self._writing.send(bytes([WOKEN]))


@contextmanager
def handle_signals(numbers: Iterable[signal.Signals]) -> Iterator[Signals]:
    """Catch these signals from now on and yield the object that waits for them.

    A main thread that waits for a lock sleeps on if the kernel delivers the signal to another thread. The interpreter
    writes the signal's number to the wakeup descriptor from whichever thread received it, so waiting for that one
    misses none. (Blocking the signals and sigwait would not either, but child processes would inherit the blocking.)
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = {number: signal.signal(number, lambda _number, _frame: None) for number in numbers}
        wakeup_before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield Signals(reading, writing)
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def survive(number: signal.Signals) -> Iterator[None]:
    """Do nothing on this signal in the block (SIG_IGN would do, but child processes would inherit it)."""
    before = signal.signal(number, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def stop_within(seconds: float, numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Let the kernel end the process after `seconds`, or at the next of these signals, whatever hangs in the block."""
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    alarm_before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm_before)
