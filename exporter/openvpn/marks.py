"""Whether OpenVPN's lines have a mark in front, a stamp or a carrier's prefix: learned from the lines themselves."""

from typing import Final

_CERTAIN: Final = 8  # the most that a score can be, either way: so a change is learned from a few lines


class Mark:
    """Something that OpenVPN's lines have in front, or have not, as far as the lines seen so far tell."""

    def __init__(self) -> None:
        self._score = 0  # above 0: they have it

    @property
    def expected(self) -> bool:
        """Return whether a line without it is no line of OpenVPN's."""
        return self._score > 0

    def learn(self, *, present: bool, lines: int = 1, process_started: bool = False) -> None:
        """Take lines into account that only OpenVPN writes. A process that starts may do otherwise than the last."""
        if process_started and not present:
            self._score = min(self._score, 0)
        # A script that repeats such a line, without the mark, is a rarer thing than the line itself.
        if present:
            self._score = min(self._score + 2 * lines, _CERTAIN)
        else:
            self._score = max(self._score - lines, -_CERTAIN)
