"""Whether a status file moves on: from the time inside it, and a clock that never steps."""

import math
from typing import Final

_GRACE_LEAST: Final = 2.0  # seconds: times in the file are whole seconds, and OpenVPN's timer is up to one late


def grace(interval: float) -> float:
    """How much later than its interval an update may come before it counts as missed: half of it, at least 2 s."""
    return max(_GRACE_LEAST, interval / 2)


class Freshness:
    """Counts the updates that did not come. Shown the file's time more often than once an interval.

    An update is missed where the file's time is older than that many intervals and the grace. What was overdue
    before the first look is not counted: nobody was looking.
    """

    def __init__(self, interval: float, clock: float) -> None:
        """Seconds between updates, and now by a clock that never steps; `clock` below is by the same."""
        self.missed = 0
        self._interval = interval
        self._time: float | None = None
        self._age = 0.0  # when `_since` was
        self._since = clock
        self._charged = 0  # of `missed`, and overdue before the first look: what the present time caused
        self._looked: float | None = None

    def age(self, clock: float) -> float:
        """Seconds since the file's last time; since watching began where it had none."""
        return self._age + clock - self._since

    def stale(self, clock: float) -> bool:
        """Whether the next update is overdue by more than the grace."""
        return self._overdue(self.age(clock)) > 0

    def look(self, time: float | None, *, wall: float, clock: float) -> None:
        """The file says `time` (None: nothing) when it is `wall` by the system's clock."""
        if time is not None and time != self._time:
            age = max(0.0, wall - time)
            if self._looked is not None:
                age = self._moved(time, age, clock - self._looked, clock)
            self._charged = self._overdue(age) if self._looked is None else 0
            self._time, self._age, self._since = time, age, clock
        self._looked = clock
        self._charge(self._overdue(self.age(clock)))

    def _moved(self, time: float, age: float, pause: float, clock: float) -> float:
        """Settle the account of the time before this one; returns how old this one is."""
        if self._time is not None and pause < self._interval:
            # No other time can have come and gone between two looks, so the gap between the two is what it was.
            self._charge(self._overdue(min(time - self._time, self.age(clock))))
        # It was written since the last look, whatever the clocks say that are set or stand in another zone.
        return min(age, pause)

    def _charge(self, overdue: int) -> None:
        self.missed += max(0, overdue - self._charged)
        self._charged = max(overdue, self._charged)

    def _overdue(self, age: float) -> int:
        return max(0, math.floor((age - grace(self._interval)) / self._interval))
