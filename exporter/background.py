"""The one class for background threads: started once, stopped within a bound, never dead without a word."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from exporter.logs import StateLog

_log = logging.getLogger(__name__)

STOP_WITHIN: Final = 1.0  # seconds; a thread that a hung file system or socket holds for longer is left behind


class BackgroundThread:
    """Call `work` again and again until stopped.

    `work` does one round and returns the seconds to rest before the next; 0 = go on at once. An exception that it
    raises is logged once and kept in `fault`; the next round follows after `rest_after_fault` seconds, and a round that
    succeeds clears the fault. The thread is a daemon: one that cannot be stopped does not keep the process alive.
    """

    def __init__(self, name: str, work: Callable[[], float], *, rest_after_fault: float = 1.0) -> None:
        self._name = name
        self._work = work
        self._rest_after_fault = rest_after_fault
        self._stopping = threading.Event()
        self._wanted = False
        self._fault: str | None = None
        self._state_log = StateLog(_log)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def fault(self) -> str | None:
        """Why the source is not being watched, in one sentence; None while all is well, or before the start."""
        if self._wanted and not self._stopping.is_set() and not self._thread.is_alive():
            return f"the background thread {self._name} has ended"
        return self._fault

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether the work under way should come to its end."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system allows no further thread."""
        self._wanted = True
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Rest inside a round; return True at once when the thread is to stop."""
        return self._stopping.wait(seconds)

    def request_stop(self) -> None:
        """Ask the thread to stop without waiting for it, so that several can stop side by side."""
        self._stopping.set()

    def stop(self, within: float = STOP_WITHIN) -> bool:
        """Ask the thread to stop and wait up to `within` seconds; return whether it has ended."""
        self.request_stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(within)
        ended = not self._thread.is_alive()
        if not ended:
            _log.warning(
                "a background thread does not stop; it is left behind", extra={"fields": {"thread": self._name}}
            )
        return ended

    def _run(self) -> None:
        while not self._stopping.is_set():
            rest = self._round()
            if rest > 0:
                self._stopping.wait(rest)
            else:
                time.sleep(0)  # let a thread that waits for the interpreter have its turn

    def _round(self) -> float:
        try:
            rest = self._work()
        except Exception as error:  # noqa: BLE001  # whatever it is: the thread must go on, and the collector say so
            self._fault = f"{type(error).__name__}: {error}"
            self._state_log.problem("round", f"background thread {self._name} failed: {self._fault}")
            _log.debug("background thread failed", exc_info=True, extra={"fields": {"thread": self._name}})
            return self._rest_after_fault
        self._fault = None
        self._state_log.resolved("round", f"background thread {self._name} works again")
        return rest
