"""What all processes of the host have done in the last moment, kept by the kernel and read only when it is asked for.

An OpenVPN may run its first scripts before its start is noticed. Nobody waits for these reports, so they wake nobody.
"""

from collections.abc import Iterable
from typing import Final

from exporter.process_events.connector import Listener
from exporter.process_events.messages import Answer, Exec, Exit, Fork

Event = Fork | Exec | Exit

KEPT: Final = 1_000_000_000  # nanoseconds: so old are reports at least when they are forgotten
_MUCH: Final = 0.25  # of the room for reports; once it is full, the kernel drops those that come


class _Part:
    """Reports from one moment to another."""

    def __init__(self) -> None:
        self.listener = Listener(None)
        self.read: list[Event] = []
        self.ended = 0  # when the next one began, in nanoseconds of CLOCK_MONOTONIC; 0: not yet

    def end(self, now: int) -> None:
        self.ended = now
        self.listener.watch(frozenset())


class Recent:
    """Used by one thread, while a Connector is open: the kernel makes no reports unless it is asked for them."""

    def __init__(self) -> None:
        """Keep reports from now on. Raises UnavailableError."""
        self._parts = [_Part()]

    def make_room(self, now: int) -> None:
        """Forget what is old, and see that there is room for what comes. Raises UnavailableError."""
        while self._parts[0].ended and now - self._parts[0].ended > KEPT:
            self._parts.pop(0).listener.close()
        last = self._parts[-1]
        if last.read or last.listener.fill() > _MUCH:
            self._parts.append(_Part())
            last.end(now)  # what both have is left out when it is read

    def read(self) -> tuple[list[Event], int]:
        """Return the reports, oldest first, and how many have been dropped since the last call."""
        events: set[Event] = set()
        dropped = 0
        for part in self._parts:
            messages, lost = part.listener.read_all()
            part.read.extend(message for message in messages if not isinstance(message, Answer))
            events.update(part.read)
            dropped += lost
        return sorted(events, key=lambda event: event.at), dropped

    def close(self) -> None:
        """End it."""
        for part in self._parts:
            part.listener.close()


def since_start(events: Iterable[Event], pid: int, at: int) -> list[Fork | Exit]:
    """Return the forks and ends of a process's children, and its end, since it began or executed its program.

    If neither is among the events, as they were dropped: what it did from the time `at` on, when it had done both.
    """
    done: list[Fork | Exit] = []
    children: set[int] = set()
    for event in events:
        if event.pid == pid and not isinstance(event, Exit):
            at = event.at
            done.clear()
            children.clear()
        elif event.at < at or isinstance(event, Exec):
            continue
        elif isinstance(event, Fork) and event.parent == pid:
            children.add(event.pid)
            done.append(event)
        elif isinstance(event, Exit) and (event.pid == pid or event.pid in children):
            children.discard(event.pid)
            done.append(event)
    return done
