"""Work that several threads ask for at once is done once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The first caller does the work; callers that arrive meanwhile get the same result or exception."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def do(self) -> T:
        """The result of work that was not yet done when this was called."""
        with self._lock:
            is_leader = self._under_way is None
            future = self._under_way = self._under_way or Future()
        if is_leader:
            try:
                result = self._work()
            except BaseException as error:
                self._land()
                future.set_exception(error)
                raise
            self._land()
            future.set_result(result)
        return future.result()

    def _land(self) -> None:
        with self._lock:
            self._under_way = None
