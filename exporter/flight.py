"""Work that several threads ask for at once is done once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """The first to come does the work; who comes while it is being done gets the same result, or error."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def join(self) -> T:
        """The result of work that was not yet done when this was called."""
        with self._lock:
            leading = self._under_way is None
            future = self._under_way = self._under_way or Future()
        if leading:
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
