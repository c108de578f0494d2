"""The way of each client from its first line in the log to its push reply, and to its end.

A state machine per connection, fed with the messages of one server's log in their order, each with its client (the
prefix of its line) and its time. Connections are told apart by address and port. What ends without a line that says how
is `lost`. Memory is bounded: a flood of first packets pushes out the oldest connections, which are lost, too.
"""

from exporter.openvpn.connection import Connection
from exporter.openvpn.connectiontable import ConnectionTable, address_of, name_of
from exporter.openvpn.connectiontexts import verify_error_reason


class Connections:
    """Takes the lines of one server about its connections, one after the other."""

    def __init__(self, table: ConnectionTable) -> None:
        self._table = table
        self._get = table.clients.get  # of prefixes that were seen before; `_find` takes longer
        self._find = table.find
        self._last: Connection | None = None  # the one whose lines may follow without a prefix
        self._last_tcp: str | None = None

    def first_packet(self, client: str, seconds: float | None) -> None:
        """Take TLS: Initial packet: a new session, perhaps from the address of an older one."""
        connection = self._get(client) or self._find(client)
        if not (connection and connection.is_in_progress and not connection.has_session):
            connection = self._table.start(address_of(client), seconds)
            connection.first_packet = seconds
        connection.has_session = True  # if it was there: its TCP connection had a line

    def verified(self, client: str, seconds: float | None) -> None:
        """Take VERIFY OK: depth=0. A renegotiation looks the same."""
        connection = self._get(client) or self._find(client)
        if not (connection and connection.is_in_progress):
            if "/" in client:
                return  # a named client has a connection, which is answered or unknown
            connection = self._table.start(address_of(client), seconds)
        connection.is_certain = True
        if not connection.is_verified:
            connection.is_verified = True
            connection.verified = seconds
            self._table.observe("tls", connection.first_packet, seconds)

    def verify_error(self, message: str, client: str, seconds: float | None) -> None:
        """Take VERIFY ERROR and its kin: a certificate is refused, and TLS fails next."""
        self._table.tally.verify_errors[verify_error_reason(message)] += 1
        connection = self._get(client) or self._find(client)
        if "/" not in client and (not connection or not (connection.is_in_progress or connection.is_answered)):
            connection = self._table.start(address_of(client), seconds)
        if connection and connection.is_in_progress:
            connection.is_certain = True
            connection.cause = connection.cause or "tls_failed"

    def version(self, value: str, client: str, seconds: float | None) -> None:
        """Take peer info: IV_VER. Without client certificates it is the first line."""
        connection = self._get(client) or self._find(client)
        if connection is None and "/" not in client:
            connection = self._table.start(address_of(client), seconds)
            connection.is_certain = False  # a renegotiation of a client that was there before us looks the same
        if connection and connection.is_in_progress:
            connection.version = value
            if not connection.is_verified:
                connection.is_verified = True
                connection.verified = seconds
                self._table.observe("tls", connection.first_packet, seconds)

    def platform(self, value: str, client: str, _seconds: float | None) -> None:
        """Take peer info: IV_PLAT."""
        connection = self._get(client) or self._find(client)
        if connection and connection.is_in_progress:
            connection.platform = value

    def authenticated(self, client: str, seconds: float | None) -> None:
        """Take authentication succeeded."""
        connection = self._get(client) or self._find(client)
        if connection and connection.is_in_progress and not connection.is_authenticated:
            connection.is_authenticated = True
            self._table.observe("auth", connection.verified, seconds)

    def initiated(self, client: str, name: str) -> None:
        """Take [NAME] Peer Connection Initiated, where lines without a prefix follow."""
        self._last = self._get(client) or self._find(client)
        if self._last:
            self._last.name = name

    def pool_returned(self, client: str, seconds: float | None) -> None:
        """Take MULTI_sva: pool returned: scripts run next."""
        connection = (self._get(client) or self._find(client)) if client else self._last
        if connection and connection.is_in_progress:
            connection.is_certain = True
            connection.pool = seconds

    def learned(self, client: str, seconds: float | None) -> None:
        """Take MULTI: Learn: scripts have run."""
        connection = self._get(client) or self._find(client)
        if connection and connection.is_in_progress and not connection.is_learned:
            connection.is_learned = True
            connection.learned = seconds
            self._table.observe("script", connection.pool, seconds)

    def push_replied(self, client: str, seconds: float | None) -> None:
        """Take SENT CONTROL: PUSH_REPLY, the end of the attempt."""
        if not self._table.is_proven:
            self._table.prove()
        connection = (self._get(client) or self._find(client)) if client else self._last
        if not (connection and connection.is_in_progress):
            return
        if connection.cause == "pool_exhausted":
            self._table.refuse(connection, "pool_exhausted")  # connected, without an address
        else:
            self._table.observe("push", connection.learned, seconds)
            self._table.observe("setup", connection.started, seconds)
            self._table.answer(connection)

    def auth_failed_sent(self, client: str, _seconds: float | None) -> None:
        """Take SENT CONTROL: AUTH_FAILED, the end of the attempt."""
        if not self._table.is_proven:
            self._table.prove()
        self.failed(client, "auth_failed")

    def failing(self, client: str, cause: str) -> None:
        """Take a line that says why the connection will be refused."""
        connection = (self._get(client) or self._find(client)) if client else self._last
        if connection and connection.is_in_progress:
            connection.cause = connection.cause or cause

    def failed(self, client: str, cause: str) -> None:
        """Take a line that says that the connection has failed."""
        connection = (self._get(client) or self._find(client)) if client else self._last
        if connection and connection.is_in_progress:
            connection.is_certain = True
            self._table.refuse(connection, connection.cause or cause)

    def limited(self, client: str, seconds: float | None) -> None:
        """Take a refusal for too many clients or connections. With UDP each packet of an attempt has such a line."""
        address = address_of(client) or self._last_tcp
        if not address:
            return
        connection = self._table.find(address) or self._table.start(address, seconds)
        connection.seen = self._table.now
        if connection.is_in_progress:
            self._table.refuse(connection, "limit")
        if not client:
            self._table.end(connection)  # TCP: it is closed at once

    def ended(self, reason: str, client: str, _seconds: float | None) -> None:
        """Take client-instance exiting or restarting."""
        connection = self._get(client) or self._find(client)
        if not connection:
            name = name_of(client)
            # One with a name may have moved to another address.
            connection = self._table.answered.get(self._table.by_name.get(name, "")) if name else None
            if not connection:
                # One with a name was admitted before the exporter was there; of one without, nothing is known.
                self._table.tally.disconnects[reason] += bool(name)
                return
        self._table.end(connection)
        if connection.is_answered:
            self._table.tally.disconnects[reason] += 1

    def tcp_established(self, address: str, seconds: float | None, *, is_prefix: bool) -> None:
        """Take TCP connection established; by IPv6, the next lines have another prefix than this address."""
        if is_prefix:
            self._table.start(address, seconds).first_packet = seconds
        self._last_tcp = address

    def replaced(self, name: str) -> None:
        """Take MULTI: new connection by client NAME: the older one is dropped without a line of its own."""
        connection = self._table.answered.get(self._table.by_name.get(name, ""))
        if connection:
            self._table.end(connection)
            self._table.tally.disconnects["replaced"] += 1

    def server_ended(self, *, is_new: bool) -> None:
        """Take the end of OpenVPN's process or, if `is_new`, its start: no connection outlives either."""
        self._table.end_all(is_new=is_new)
        self._last = self._last_tcp = None
