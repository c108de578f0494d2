"""Work that several threads ask for at once is done once."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """The first caller for a key does the work; callers that arrive meanwhile get the same result or exception."""

    def __init__(self, work: Callable[[K], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._under_way: dict[K, Future[T]] = {}

    def do(self, key: K) -> T:
        """Return the result of work that was not yet done when this was called."""
        with self._lock:
            future = self._under_way.get(key)
            is_leader = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if is_leader:
            try:
                result = self._work(key)
            except BaseException as error:
                self._land(key)
                future.set_exception(error)
                raise
            self._land(key)
            future.set_result(result)
        return future.result()

    def _land(self, key: K) -> None:
        with self._lock:
            del self._under_way[key]
