"""The clients that `status 3` lists, and their bytes summed by common name."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

UNDEF: Final = "UNDEF"  # what OpenVPN prints for a connection that has no name yet
OMITTED: Final = ""  # the name of the row for all names beyond the bound; OpenVPN accepts no client without a name

_LIST: Final = b"CLIENT_LIST\t"
_HEADER: Final = b"HEADER\tCLIENT_LIST\t"


class Client(NamedTuple):
    """A row of CLIENT_LIST: one connection, with its bytes as the server counts them."""

    name: str
    connection: tuple[bytes, bytes]  # identifies it among all connections of that name
    received: int
    sent: int


class ClientListError(Exception):
    """The reply is not a list of clients, or not a complete one."""


class ClientRow(NamedTuple):
    """The sums of one common name."""

    name: str
    received: int
    sent: int
    connections: int


def read_clients(lines: Sequence[bytes]) -> list[Client]:
    """Parse the reply to `status 3`, of which only the lines with CLIENT_LIST in them are needed.

    Connections that have no name yet are left out. Raise ClientListError.
    """
    columns = None
    clients = []
    for line in lines:
        if line.startswith(_LIST):
            if columns is None:
                raise ClientListError("rows come before their header")
            cells = columns.split(line.removeprefix(_LIST))
            if not columns.is_unnamed(cells):
                clients.append(columns.client(cells))
        elif line.startswith(_HEADER):
            columns = _Columns.of(line.removeprefix(_HEADER).decode(errors="replace").split("\t"))
    if columns is None:
        raise ClientListError("it has no header, as if OpenVPN did not run as a server")
    return clients


class _Columns(NamedTuple):
    """The indices of the columns, which differ from version to version."""

    number: int  # of columns
    name: int
    received: int
    sent: int
    since: int
    identity: int
    addresses: tuple[int, ...]  # in the VPN

    @classmethod
    def of(cls, titles: list[str]) -> "_Columns":
        try:
            return cls(
                number=len(titles),
                name=titles.index("Common Name"),
                received=titles.index("Bytes Received"),
                sent=titles.index("Bytes Sent"),
                since=titles.index("Connected Since (time_t)"),
                # OpenVPN numbers its clients, which identifies them even when one moves to a new address.
                identity=titles.index("Client ID" if "Client ID" in titles else "Real Address"),
                addresses=tuple(index for index, title in enumerate(titles) if title.startswith("Virtual ")),
            )
        except ValueError as error:
            raise ClientListError(f"its header lacks a column: {error}") from None

    def split(self, row: bytes) -> list[bytes]:
        cells = row.split(b"\t")
        if len(cells) != self.number or not _is_count(cells[self.received]) or not _is_count(cells[self.sent]):
            raise ClientListError(f"a row has {len(cells)} columns, its header {self.number}, or no byte counts")
        return cells

    def is_unnamed(self, cells: list[bytes]) -> bool:
        """Return whether the connection has no name yet; then it has no address in the VPN either."""
        return cells[self.name] == UNDEF.encode() and not any(cells[index] for index in self.addresses)

    def client(self, cells: list[bytes]) -> Client:
        name = cells[self.name].decode(errors="backslashreplace")  # which keeps names apart whose bytes are not UTF-8
        return Client(name, (cells[self.identity], cells[self.since]), int(cells[self.received]), int(cells[self.sent]))


def _is_count(text: bytes) -> bool:
    return text.isdigit() and len(text) < 20


class ClientSums:
    """Bytes per common name, which never fall: what each connection moved since the last poll is added to its name.

    The connections of the first poll count from there on, so that a restart of the exporter is not taken for traffic.
    What a connection moves between the last poll that lists it and its end is missing from the sum.
    """

    def __init__(self, max_names: int) -> None:
        """`max_names`: names with a row of their own, the first that connect; all others share the row OMITTED."""
        self.omitted = 0  # names among the connected clients that share that row
        self._max_names = max_names
        self._sums: dict[str, tuple[int, int]] = {}
        self._before: dict[tuple[str, bytes, bytes], tuple[int, int]] | None = None

    def add(self, clients: Sequence[Client]) -> tuple[ClientRow, ...]:
        """Add a poll's list of clients; return a row for every name ever seen."""
        now: dict[tuple[str, bytes, bytes], tuple[int, int]] = {}
        for name, connection, received, sent in clients:
            key = (name, *connection)
            earlier = now.get(key, (0, 0))  # a name twice at once, in versions that do not number their clients
            now[key] = received + earlier[0], sent + earlier[1]
        before = now if self._before is None else self._before
        for key, (received, sent) in now.items():
            was_received, was_sent = before.get(key, (0, 0))
            if received < was_received or sent < was_sent:
                was_received = was_sent = 0  # another connection, after a restart of the server
            row = self._row(key[0])
            sums = self._sums.get(row, (0, 0))
            self._sums[row] = sums[0] + received - was_received, sums[1] + sent - was_sent
        self._before = now
        connections = Counter(self._row(client.name) for client in clients)
        self.omitted = len({client.name for client in clients if self._row(client.name) == OMITTED})
        return tuple(ClientRow(name, *sums, connections[name]) for name, sums in self._sums.items())

    def _row(self, name: str) -> str:
        if name in self._sums or len(self._sums) - (OMITTED in self._sums) < self._max_names:
            return name
        return OMITTED
