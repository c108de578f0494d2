"""Names of users and groups, as ls shows them: the number where there is none."""

import grp
import pwd
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

_KEEP: Final = 300  # seconds; where accounts come over the network, a look-up may take long


def edition(now: float) -> int:
    """Which five minutes `now` (in seconds) lies in: within one edition no name is looked up twice."""
    return int(now // _KEEP)


def users(uids: Sequence[int], edition: int) -> list[str]:
    """The name of each user id, or the id in decimal."""
    return _names(_user, uids, edition)


def groups(gids: Sequence[int], edition: int) -> list[str]:
    """The name of each group id, or the id in decimal."""
    return _names(_group, gids, edition)


def _names(look_up: Callable[[int, int], str], numbers: Sequence[int], edition: int) -> list[str]:
    names = {number: look_up(number, edition) for number in set(numbers)}
    return [names[number] for number in numbers]


@lru_cache(maxsize=4096)
def _user(uid: int, _edition: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=4096)
def _group(gid: int, _edition: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
