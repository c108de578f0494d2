"""Durations as Prometheus writes them: 500ms, 1s, 1m30s, 1d."""

import re
from typing import Final

_UNITS: Final = {
    "y": 365 * 86400.0,
    "w": 7 * 86400.0,
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_FORM: Final = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit}(?![a-z]))?" for unit in _UNITS))


def parse_duration(text: str) -> float:
    """Return seconds, more than 0. Raise ValueError with a sentence that shows the form."""
    match = _FORM.fullmatch(text)
    numbers = match.groups() if match else ()
    seconds = sum(int(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=False) if number)
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration; write it as 500ms, 1s, 5m or 1h30m")
    return seconds
