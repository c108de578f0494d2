"""Whether a status file is updated in time: from the time inside it, and a clock that never steps."""

import math
from typing import Final

_MIN_GRACE: Final = 2.0  # seconds: times in the file are whole seconds, and OpenVPN's timer is up to one late


def grace(interval: float) -> float:
    """Return how much later than its interval an update may come before it is missed: half of it, at least 2 s."""
    return max(_MIN_GRACE, interval / 2)


class Freshness:
    """Counts the updates that did not come. To be shown the file's time more often than once per interval.

    An update is missed if the file's time is older than that many intervals and the grace. What was overdue before the
    first observation is not counted.
    """

    def __init__(self, interval: float, clock: float) -> None:
        """`interval` is in seconds; `clock`, here and below, is a monotonic clock, and here the start of watching."""
        self.missed = 0
        self._interval = interval
        self._time: float | None = None
        self._age = 0.0  # of the file's time at `_since`
        self._since = clock
        self._counted = 0  # updates that the present time has missed: counted, or overdue before the first observation
        self._observed_at: float | None = None

    @property
    def stale_from(self) -> float:
        """Return the clock's time from which the next update is overdue by more than the grace."""
        return self._since - self._age + self._interval + grace(self._interval)

    def observe(self, time: float | None, *, wall: float, clock: float) -> None:
        """Note the file's time, None if it has none; `wall` is the present by the system's clock."""
        if time is not None and time != self._time:
            age = max(0.0, wall - time)
            if self._observed_at is not None:
                age = self._settle_previous(time, age, clock - self._observed_at, clock)
            self._counted = self._overdue(age) if self._observed_at is None else 0
            self._time, self._age, self._since = time, age, clock
        self._observed_at = clock
        self._count_missed(self._overdue(self._age_at(clock)))

    def _settle_previous(self, time: float, age: float, pause: float, clock: float) -> float:
        """Count the updates missed before this one and return its age."""
        if self._time is not None and pause < self._interval:
            # At most one update can have happened since the last observation, so the difference of the two is exact.
            self._count_missed(self._overdue(min(time - self._time, self._age_at(clock))))
        # It was written since the last observation, even if the two clocks differ or are in different time zones.
        return min(age, pause)

    def _age_at(self, clock: float) -> float:
        """Return the age of the file's last time; of the watching if it has none."""
        return self._age + clock - self._since

    def _count_missed(self, overdue: int) -> None:
        self.missed += max(0, overdue - self._counted)
        self._counted = max(overdue, self._counted)

    def _overdue(self, age: float) -> int:
        return max(0, math.floor((age - grace(self._interval)) / self._interval))
