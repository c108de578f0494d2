"""Calls that other threads have the server's thread make."""

import contextlib
import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Calls:
    """A queue of functions, and a socket that wakes the thread waiting at the selector."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """Nothing wakes the thread before `open`."""
        self._selector = selector
        self._waiting: deque[Callable[[], None]] = deque()
        self._woken, self._waker = socket.socketpair()

    def open(self) -> None:
        """Have the selector report `make` as what is ready whenever functions wait."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self.make)

    def add(self, function: Callable[[], None]) -> None:
        """Have the server's thread call a function. Any thread may do this."""
        self._waiting.append(function)
        with contextlib.suppress(OSError):  # full: it is awake anyway; closed: it has stopped
            self._waker.send(b"\0")

    def make(self) -> None:
        """Call the functions that wait."""
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        for _ in range(len(self._waiting)):  # not those that they add: one client with many requests is not all
            guard(self._waiting.popleft())

    def close(self) -> None:
        """Wake nobody any more."""
        self._woken.close()
        self._waker.close()


def guard(function: Callable[[], None]) -> None:
    """Call a function; log what it raises, as the thread must live on for all other connections."""
    try:
        function()
    except Exception:  # noqa: BLE001  # logged whole
        _log.exception("connection failed")
