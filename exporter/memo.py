"""Memoize the last result, for columns that hardly ever change from scrape to scrape."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class MemoizeLast(Generic[P, T]):
    """A function that returns the very same object again while its arguments are equal to the last ones.

    As functools.lru_cache(1), but for arguments that are sequences: they are compared and not hashed.
    """

    def __init__(self, function: Callable[P, T]) -> None:
        self._function = function
        self._last: tuple[tuple[object, ...], T] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the function's result."""
        arguments = (*args, *kwargs.items())
        if self._last is None or self._last[0] != arguments:
            self._last = (arguments, self._function(*args, **kwargs))
        return self._last[1]
