"""The connections that are open: how many there may be, and which are closed for a new one, or for taking too long."""

import contextlib
import logging
import resource
import selectors
from collections.abc import Iterator
from typing import Final

from exporter.web.connection import Connection, Phase
from exporter.web.tls import Tls

_log = logging.getLogger(__name__)

_MOST: Final = 600


class OpenConnections:
    """Used by the server's thread only.

    The number of connections is bounded: if there are too many, one that waits for its client is closed in favour of a
    new one, first of those that ask and do not listen, then of those that were never served. So neither these nor idle
    clients keep others out.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """At most half of the descriptors that this process may have are for connections."""
        self._selector = selector
        self._open: set[Connection] = set()
        self._most = min(_MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._open

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over those that are open now, which may be closed meanwhile."""
        return iter(list(self._open))

    @property
    def are_too_many(self) -> bool:
        """Whether one has to be closed before another is added."""
        return len(self._open) >= self._most

    @property
    def are_answering(self) -> bool:
        """Whether an answer is under way."""
        return any(each.phase in (Phase.ANSWERING, Phase.WRITING) for each in self._open)

    def add(self, connection: Connection) -> None:
        """Wait for what its client sends."""
        self._open.add(connection)
        self._selector.register(connection.sock, connection.interest, connection)

    def close(self, connection: Connection, why: str) -> None:
        """Close it, with the reason in the log."""
        self._open.discard(connection)
        with contextlib.suppress(KeyError, ValueError):  # it is not registered while its answer is made
            self._selector.unregister(connection.sock)
        connection.close()
        _log.debug("connection closed", extra={"fields": {"reason": why}})

    def close_all(self, why: str) -> None:
        """Close every one."""
        for connection in self:
            self.close(connection, why)

    def evict(self) -> bool:
        """Close the one that is worth least of those that wait for their clients or have more to ask.

        Return False if there is none.
        """
        waiting = [each for each in self._open if each.phase is not Phase.ANSWERING or each.pipelines]
        if not waiting:
            return False
        self.close(min(waiting, key=_worth), "there are too many")
        return True

    def close_overdue(self, now: float, tls: Tls | None) -> None:
        """Close those whose client takes too long, and idle ones whose TLS is not the one in force, `tls`."""
        for connection in self:
            if now > connection.deadline:
                self.close(connection, f"the client took too long ({connection.phase.name.lower()})")
            elif connection.is_idle and connection.tls not in (None, tls):
                self.close(connection, "the certificates have changed")


def _worth(connection: Connection) -> tuple[int, float]:
    """Return what orders connections by how much would be lost without them; of equals, the longest wait is first."""
    if connection.phase is Phase.DRAINING:
        return 0, connection.deadline
    if connection.is_careless:
        return 1, connection.moved_at
    if connection.phase is Phase.WRITING:
        return 4, connection.moved_at
    return (3 if connection.served else 2), connection.deadline
