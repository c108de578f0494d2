"""The runs of the hook that have begun and not ended, remembered over restarts of the exporter too."""

import contextlib
from collections.abc import Callable
from typing import Final

from exporter.openvpn.hookrecord import Run

_MOST: Final = 1000  # whoever can write to the record must not fill the memory; the oldest are forgotten


class OpenRuns:
    """Changed by one thread; others may ask `now`."""

    def __init__(self, saved: object, save: Callable[[list[Run]], None]) -> None:
        """`saved`: what `save` was given once, as JSON keeps it; whatever is no such thing is as nothing."""
        self._save = save
        self._runs: dict[Run, None] = {}
        self._changed = False
        if isinstance(saved, list):
            with contextlib.suppress(TypeError):
                self._runs = dict.fromkeys(Run(*values) for values in saved)

    def now(self) -> list[Run]:
        """In the order of their beginnings."""
        return list(self._runs)

    def begin(self, run: Run) -> None:
        """It has begun."""
        if len(self._runs) == _MOST:
            del self._runs[next(iter(self._runs))]
        self._runs[run] = None
        self._changed = True

    def end(self, run: Run) -> bool:
        """It has ended; whether it was known to have begun."""
        known = run in self._runs
        self._runs.pop(run, None)
        self._changed = self._changed or known
        return known

    def save(self) -> None:
        """Remember them, if they have changed since the last time."""
        if self._changed:
            self._save(self.now())
            self._changed = False
