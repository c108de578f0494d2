"""The kernel's reports of processes that are followed: from now on, and of new ones back to their start."""

from exporter.process_events.connector import Connector, UnavailableError
from exporter.process_events.messages import Exit, Fork
from exporter.process_events.recent import KEPT, Recent, since_start


class Reports:
    """Used by one thread."""

    def __init__(self) -> None:
        """Ask the kernel for its reports. Raises UnavailableError if it does not make them."""
        self._recent = Recent()
        try:
            self._connector = Connector(frozenset())
        except UnavailableError:
            self._recent.close()
            raise
        self._given: set[Fork | Exit] = set()  # by `since_start`, perhaps before the connector hands them over

    def fileno(self) -> int:
        """Return the file descriptor, to wait for reports."""
        return self._connector.fileno()

    def watch(self, pids: frozenset[int]) -> None:
        """Report the children of these processes from now on, and the ends of the processes themselves."""
        self._connector.watch(pids)

    def read(self) -> tuple[list[Fork | Exit], int]:
        """Return what is there, and how many reports the kernel has dropped since the last call."""
        messages, dropped = self._connector.read_all()
        reports = [message for message in messages if isinstance(message, Fork | Exit) and message not in self._given]
        return reports, dropped

    def since_start(self, pid: int, at: int) -> tuple[list[Fork | Exit], int]:
        """Return what a process that is watched by now has done before, and as `read`; for `at` see recent.py."""
        events, dropped = self._recent.read()
        done = since_start(events, pid, at)
        self._given.update(done)
        return done, dropped

    def make_room(self, now: int) -> None:
        """Forget what is too old for `since_start`; call it at least once a second. Raises UnavailableError."""
        self._recent.make_room(now)
        self._given = {event for event in self._given if now - event.at < KEPT}

    def close(self) -> None:
        """End the reports."""
        self._recent.close()
        self._connector.close()
