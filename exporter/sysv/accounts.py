"""Names of users and groups, as ls shows them: the number where there is none."""

import grp
import pwd
import time
from collections.abc import Callable, Sequence
from typing import Final

_KEEP: Final = 300.0  # seconds; where accounts come over the network, a look-up may take long


class Accounts:
    """Looks numbers up and remembers the answers for five minutes."""

    def __init__(self, look_up: Callable[[int], str], clock: Callable[[], float] = time.monotonic) -> None:
        """`look_up` raises KeyError where the number has no name."""
        self._look_up = look_up
        self._clock = clock
        self._names: dict[int, str] = {}
        self._fresh_until = 0.0

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The name of each, or the number in decimal."""
        if self._clock() > self._fresh_until:
            self._names.clear()
            self._fresh_until = self._clock() + _KEEP
        for number in set(numbers) - self._names.keys():
            try:
                self._names[number] = self._look_up(number)
            except KeyError:
                self._names[number] = str(number)
        return [self._names[number] for number in numbers]


def users() -> Accounts:
    """Names of uids."""
    return Accounts(lambda uid: pwd.getpwuid(uid).pw_name)


def groups() -> Accounts:
    """Names of gids."""
    return Accounts(lambda gid: grp.getgrgid(gid).gr_name)
