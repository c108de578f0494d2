"""The connections of one server that have not ended: started, answered, refused, lost; in bounded memory."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

from exporter.openvpn.connection import BUCKETS, MAX_DURATION, Connection, Tally

_MAX_OPEN: Final = 4096  # connections that are not answered; a flood must not take more than a few MB
_MAX_ANSWERED: Final = 65536
_MAX_SILENCE: Final = 600.0  # seconds of the reader's clock after which a connection that is not answered is lost


class ConnectionTable:
    """The connections of one server that have not ended, and what is counted of all.

    A log shows push replies from --verb 3 on. Results count from the first line that proves it; until then, and after
    OpenVPN was started anew, they are held back.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.now = 0.0  # of the reader's clock, in seconds; set before lines are fed
        self.clients: dict[str, Connection] = {}  # by address, and by other prefixes: NAME/ADDRESS
        self.open: dict[str, Connection] = {}  # by address: in progress, or refused and not gone yet
        self.answered: dict[str, Connection] = {}  # by address
        self.by_name: dict[str, str] = {}  # address of the last answered connection of a name
        self.is_proven = False
        self._current = Tally()  # the tally, or what is held back

    @property
    def is_visible(self) -> bool:
        """Return whether the log has ever shown how a connection is answered."""
        return self.is_proven or bool(self.tally.results)

    def in_progress(self) -> int:
        """Return how many connections have begun, and are neither answered nor ended."""
        return sum(connection.is_in_progress and connection.is_certain for connection in list(self.open.values()))

    def versions(self) -> Counter[tuple[str, str]]:
        """Return how many connected clients have each pair of version and platform, as they say themselves."""
        return Counter((connection.version, connection.platform) for connection in list(self.answered.values()))

    def find(self, client: str) -> Connection | None:
        """Return the connection of a prefix: NAME/ADDRESS or ADDRESS."""
        connection = self.clients.get(client)
        if connection is None:
            address = address_of(client)
            connection = self.clients.get(address)
            if connection:
                self.clients[client] = connection
                connection.prefixes += (client,)
                if not connection.name:
                    connection.name = name_of(client)
        return connection

    def start(self, address: str, seconds: float | None) -> Connection:
        """Start a connection; an older one of the same address has ended."""
        older = self.clients.get(address)
        if older:
            if older.is_answered:
                self.tally.disconnects["replaced"] += 1
            self.end(older)
        if len(self.open) >= _MAX_OPEN:
            self.end(next(iter(self.open.values())))
        connection = self.open[address] = self.clients[address] = Connection(address, seconds, self.now)
        return connection

    def end(self, connection: Connection) -> None:
        """End a connection; count it if nothing has been counted of it."""
        if connection.is_answered:
            del self.answered[connection.address]
            if self.by_name.get(connection.name) == connection.address:
                del self.by_name[connection.name]
        else:
            if connection.is_in_progress and connection.is_certain:
                self._current.results[connection.cause or "lost"] += 1
            del self.open[connection.address]
        del self.clients[connection.address]
        for prefix in connection.prefixes:
            del self.clients[prefix]

    def answer(self, connection: Connection) -> None:
        """Count the connection as answered."""
        connection.is_in_progress = False
        connection.is_answered = True
        self._current.results["answered"] += 1
        del self.open[connection.address]
        if len(self.answered) >= _MAX_ANSWERED:
            self.end(next(iter(self.answered.values())))
        self.answered[connection.address] = connection
        self.by_name[connection.name] = connection.address

    def refuse(self, connection: Connection, result: str) -> None:
        """Count the connection as refused; it stays until its end."""
        connection.is_in_progress = False
        self._current.results[result] += 1

    def observe(self, phase: str, start: float | None, end: float | None) -> None:
        """Count how long a phase took, if that is known."""
        # Clocks can be set: a duration that is negative or absurdly long is left out.
        if start is not None and end is not None and 0 <= end - start <= MAX_DURATION:
            durations = self._current.phases[phase]
            if end == start:  # as most are, where stamps are whole seconds
                durations.counts[0] += 1
            else:
                durations.counts[bisect_left(BUCKETS, end - start)] += 1
                durations.sum += end - start

    def prove(self) -> None:
        """Count what was held back, for the log shows push replies."""
        self.is_proven = True
        self.tally.add(self._current)
        self._current = self.tally

    def end_all(self, *, is_new: bool) -> None:
        """End every connection with OpenVPN's process or, if `is_new`, because another one has started."""
        self.tally.disconnects["server-exit"] += len(self.answered)
        for connection in [*self.open.values(), *self.answered.values()]:
            self.end(connection)
        if is_new:
            self.is_proven = False  # --verb may be another now
            self._current = Tally()

    def expire(self) -> None:
        """Give up connections that have not been answered for long."""
        for connection in list(self.open.values()):
            if self.now - connection.seen > _MAX_SILENCE:
                self.end(connection)

    def save(self) -> dict[str, object]:
        """Return what `restore` needs, as JSON."""
        return {
            "proven": self.is_visible,
            "open": {address: connection.save() for address, connection in self.open.items()},
            "answered": {address: connection.save() for address, connection in self.answered.items()},
        }

    def restore(self, saved: object, *, with_open: bool) -> None:
        """Adopt what `save` returned; anything malformed is ignored.

        Without `with_open`, what had not been answered is forgotten: it may have been counted since.
        """
        if not isinstance(saved, dict):
            return
        if saved.get("proven") is True and not self.is_proven:
            self.prove()
        for address, connection in _connections(saved.get("answered")):
            self.answered[address] = self.clients[address] = connection
            self.by_name[connection.name] = address
        for address, connection in _connections(saved.get("open")) if with_open else ():
            connection.seen = self.now
            self.open[address] = self.clients[address] = connection


def name_of(client: str) -> str:
    """Return the name in the prefix of a client's lines: all before the last slash; empty if it has none yet."""
    return client.rpartition("/")[0]


def address_of(client: str) -> str:
    """Return the address of a client: the prefix of its lines, without its name."""
    address = client[client.rfind("/") + 1 :]
    return address if address[:1] not in ("u", "t") else address.partition(":")[2]  # udp4:, tcp6-server: of 2.7


def _connections(saved: object) -> Iterator[tuple[str, Connection]]:
    for address, values in saved.items() if isinstance(saved, dict) else ():
        connection = Connection.restored(str(address), values)
        if connection:
            yield str(address), connection
