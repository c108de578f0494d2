"""A fixed number of threads that work through a bounded number of jobs."""

import logging
import queue
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

Job = Callable[[], None]


class Workers:
    """Threads that are started when there is work, and never more than `threads` of them.

    They are daemons: a job that hangs costs a thread, and does not keep the process alive.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        """Let `waiting` jobs wait for one of `threads` threads."""
        self._name = name
        self._threads = threads
        self._waiting = waiting
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._open = 0  # jobs that are not done

    def submit(self, job: Job) -> bool:
        """Hand in a job; return False if too many wait already, or no thread can be started."""
        with self._lock:
            if self._open >= self._started and self._started < self._threads:
                self._start()
            if not self._started or self._open >= self._started + self._waiting:
                return False
            self._open += 1
            self._jobs.put(job)
            return True

    def _start(self) -> None:
        name = f"{self._name} {self._started + 1}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError as error:  # the limit of threads is reached; those that run go on
            _log.debug("no further thread", extra={"fields": {"thread": name, "error": error}})
        else:
            self._started += 1

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:  # noqa: BLE001  # logged whole; the thread must live on for the next job
                _log.exception("a job failed", extra={"fields": {"thread": threading.current_thread().name}})
            del job  # and with it a page of megabytes, which would live on until the next job
            with self._lock:
                self._open -= 1
