"""When a line was written, by the stamp in front of it."""

import calendar
import re
from typing import Final

_CLOCK = r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
_PRIORITY = "(?:<[0-9]+>)?"
_DATE: Final = re.compile(rf"{_PRIORITY}(?:1 |[A-Z][a-z]{{2}} )?([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})[ T_]{_CLOCK}")
_DAY: Final = re.compile(
    rf"(?:<[0-9]+>)?(?:[A-Z][a-z]{{2}} )?([A-Z][a-z]{{2}}) ([ 0-9][0-9]) {_CLOCK}(?: ([0-9]{{4}}))?"
)
_EPOCH: Final = re.compile(r"(?:@journal |\[ *)?([0-9]{1,12}\.[0-9]{6})[\] ]?")
_TAI64N: Final = re.compile(r"@([0-9a-f]{16})([0-9a-f]{8})")
_MICROSECONDS: Final = re.compile(r"us=([0-9]{1,6})")
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_MAX_REMEMBERED: Final = 256


class StampReader:
    """Reads stamps as seconds, of which only differences mean anything: a zone is left out, a year may be missing."""

    def __init__(self) -> None:
        self._known: dict[str, float | None] = {}

    def seconds(self, stamp: str) -> float | None:
        """Return the time of a stamp of any form that logline.py knows; None if it has none."""
        if stamp not in self._known:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[stamp] = _seconds(stamp)
        return self._known[stamp]


def _seconds(stamp: str) -> float | None:
    if match := _EPOCH.match(stamp):
        return float(match[1])
    if match := _DATE.match(stamp):
        year, month, day, hour, minute, second = (int(match[number]) for number in range(1, 7))
        fraction = match[7]
    elif (match := _DAY.match(stamp)) and match[1] in _MONTHS:
        year, month, day = int(match[7] or 2000), _MONTHS[match[1]], int(match[2])
        hour, minute, second = int(match[3]), int(match[4]), int(match[5])
        fraction = match[6]
    elif match := _TAI64N.match(stamp):
        return int(match[1], 16) - 2**62 + int(match[2], 16) / 1e9
    else:
        return None
    microseconds = _MICROSECONDS.search(stamp)
    part = int(microseconds[1]) / 1e6 if microseconds else float(f"0.{fraction or 0}")
    try:
        return calendar.timegm((year, month, day, hour, minute, second)) + part
    except ValueError:
        return None  # no such month, or the year 0: digits that are no date
