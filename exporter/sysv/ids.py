"""Names of users and groups, as ls shows them: the number if there is none."""

import grp
import pwd
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from exporter.background import BackgroundThread

Kind = Literal["user", "group"]

_REFRESH: Final = 300.0  # seconds after which names are looked up again
_WAIT: Final = 0.1  # seconds that a scrape waits for ids it meets for the first time; local files need microseconds


def user_name(uid: int) -> str:
    """Return the name of a user id, or the id in decimal."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of a group id, or the id in decimal."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


LOOK_UP: Final[Mapping[Kind, Callable[[int], str]]] = {"user": user_name, "group": group_name}


class AccountNames:
    """Looks names up in a background thread: with accounts on the network, one look-up may take many seconds.

    Until an id has been looked up, its number serves as its name.
    """

    def __init__(
        self,
        look_up: Mapping[Kind, Callable[[int], str]] = LOOK_UP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._names: dict[tuple[Kind, int], str] = {}
        self._used: set[tuple[Kind, int]] = set()  # since the last refresh
        self._pending: dict[tuple[Kind, int], None] = {}  # in the order in which they were met
        self._refresh_at = clock() + _REFRESH
        self._changed = threading.Condition()
        self._thread = BackgroundThread("account names", self._work)
        self.version = 0  # goes up whenever a name has become known or has changed

    def start(self) -> None:
        """Start to look up."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a look-up that hangs is left behind."""
        self._thread.stop()

    def users(self, uids: Sequence[int]) -> tuple[str, ...]:
        """Return the name of each user id."""
        return self._of("user", uids)

    def groups(self, gids: Sequence[int]) -> tuple[str, ...]:
        """Return the name of each group id."""
        return self._of("group", gids)

    def _of(self, kind: Kind, numbers: Sequence[int]) -> tuple[str, ...]:
        wanted = {(kind, number) for number in set(numbers)}
        with self._changed:
            self._used |= wanted
            new = [item for item in wanted if item not in self._names and item not in self._pending]
            self._pending.update(dict.fromkeys(new))
            if new:
                self._changed.notify_all()
                if self._thread.is_alive:
                    self._changed.wait_for(lambda: all(item in self._names for item in new), _WAIT)
            known = {number: self._names.get((kind, number), str(number)) for _, number in wanted}
        return tuple(known[number] for number in numbers)

    def _work(self) -> float:
        with self._changed:
            if not self._pending and self._clock() >= self._refresh_at:
                self._names = {item: name for item, name in self._names.items() if item in self._used}
                self._pending.update(dict.fromkeys(self._names))
                self._used.clear()
                self._refresh_at = self._clock() + _REFRESH
            if not self._pending:
                self._changed.wait(0.5)
                return 0
            item = next(iter(self._pending))
        kind, number = item
        name = self._look_up[kind](number)
        with self._changed:
            self._pending.pop(item, None)
            if self._names.get(item) != name:
                self._names[item] = name
                self.version += 1
            self._changed.notify_all()
        return 0
