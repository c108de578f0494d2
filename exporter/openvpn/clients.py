"""The clients that `status 3` lists, and what they moved, summed by common name."""

from collections.abc import Sequence
from typing import Final, NamedTuple

UNDEF: Final = "UNDEF"  # what OpenVPN prints for a connection that has no name yet

# Whom the names beyond the bound are summed under. OpenVPN turns control characters in names into underscores, and
# separates columns by tabs: no client can have this name.
OTHERS: Final = "\tothers"

_LIST: Final = b"CLIENT_LIST\t"
_HEADER: Final = b"HEADER\tCLIENT_LIST\t"


class Client(NamedTuple):
    """A row of CLIENT_LIST: one connection. Bytes as the server counts them."""

    name: str
    connection: tuple[bytes, bytes]  # tells it from all other connections of that name
    received: int
    sent: int


class ClientListError(Exception):
    """Not a list of clients, or not all of it."""


class ClientRow(NamedTuple):
    """What is known of one common name."""

    name: str
    received: int
    sent: int
    connections: int


def read_clients(lines: Sequence[bytes]) -> list[Client]:
    """The connections in the reply to `status 3`, those without a name left out. Raises ClientListError.

    Of `lines` only those that have CLIENT_LIST in them matter.
    """
    places = None
    clients = []
    for line in lines:
        if line.startswith(_LIST):
            if places is None:
                raise ClientListError("rows stand before their header")
            client = _client(line.removeprefix(_LIST).split(b"\t"), places)
            if client.name != UNDEF:
                clients.append(client)
        elif line.startswith(_HEADER):
            places = _Places.of(line.removeprefix(_HEADER).decode(errors="replace").split("\t"))
    if places is None:
        raise ClientListError("it has no header, as if OpenVPN did not run as a server")
    return clients


class _Places(NamedTuple):
    """Where columns stand; they differ from version to version."""

    columns: int
    name: int
    received: int
    sent: int
    since: int
    identity: int

    @classmethod
    def of(cls, titles: list[str]) -> "_Places":
        try:
            return cls(
                columns=len(titles),
                name=titles.index("Common Name"),
                received=titles.index("Bytes Received"),
                sent=titles.index("Bytes Sent"),
                since=titles.index("Connected Since (time_t)"),
                # OpenVPN numbers its clients, which tells them apart even where one moves to a new address.
                identity=titles.index("Client ID" if "Client ID" in titles else "Real Address"),
            )
        except ValueError as error:
            raise ClientListError(f"its header lacks a column: {error}") from None


def _client(cells: list[bytes], places: _Places) -> Client:
    received, sent = cells[places.received : places.received + 1], cells[places.sent : places.sent + 1]
    if len(cells) != places.columns or not _is_count(*received) or not _is_count(*sent):
        raise ClientListError(f"a row has {len(cells)} columns, its header {places.columns}, or no byte counts")
    identity = cells[places.identity], cells[places.since]
    return Client(cells[places.name].decode(errors="replace"), identity, int(received[0]), int(sent[0]))


def _is_count(text: bytes = b"") -> bool:
    return text.isdigit() and len(text) < 20


class ClientSums:
    """Bytes by common name that never fall: what each connection moved since the last look is added to its name.

    What a connection moves between the last look at it and its end is never seen, and is missing from the sum.
    """

    def __init__(self, most: int) -> None:
        """`most`: names with a row of their own, the first to come; all others share one row."""
        self._most = most
        self._sums: dict[str, tuple[int, int]] = {}
        self._before: dict[tuple[str, bytes, bytes], tuple[int, int]] = {}

    @property
    def full(self) -> bool:
        """Whether names have been summed together."""
        return OTHERS in self._sums

    def add(self, clients: Sequence[Client]) -> tuple[ClientRow, ...]:
        """All names ever seen, now that `clients` are connected."""
        now: dict[tuple[str, bytes, bytes], tuple[int, int]] = {}
        connections = dict.fromkeys(self._sums, 0)
        for name, connection, received, sent in clients:
            key = (name, *connection)
            earlier = now.get(key, (0, 0))  # a name twice at once, in versions that do not number their clients
            now[key] = received + earlier[0], sent + earlier[1]
        for key, (received, sent) in now.items():
            was_received, was_sent = self._before.get(key, (0, 0))
            if received < was_received or sent < was_sent:
                was_received = was_sent = 0  # another connection, after a restart of the server
            name = self._name(key[0])
            sums = self._sums.get(name, (0, 0))
            self._sums[name] = sums[0] + received - was_received, sums[1] + sent - was_sent
        self._before = now
        for client in clients:
            name = self._name(client.name)
            connections[name] = connections.get(name, 0) + 1
        return tuple(ClientRow(name, *sums, connections[name]) for name, sums in self._sums.items())

    def _name(self, name: str) -> str:
        if name in self._sums or len(self._sums) < self._most:
            return name
        return OTHERS
