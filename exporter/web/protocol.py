"""What is done with a connection whose socket is ready: TLS handshake, request, answer, end."""

import selectors
from collections.abc import Callable
from functools import partial

from exporter.web.connection import ClosedError, Connection, Phase
from exporter.web.connections import OpenConnections
from exporter.web.handler import Handler
from exporter.web.live import LiveWebConfig
from exporter.web.request import BadRequestError
from exporter.web.response import Response, plain


class HttpProtocol:
    """Takes each connection from one phase to the next. Used by the server's thread only; never waits."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        connections: OpenConnections,
        handler: Handler,
        live: LiveWebConfig,
        call: Callable[[Callable[[], None]], None],
    ) -> None:
        """`call` has the server's thread call a function, from whichever thread."""
        self.is_stopping = False  # then each answer is the last one of its connection
        self._selector = selector
        self._connections = connections
        self._handler = handler
        self._live = live
        self._call = call

    def step(self, connection: Connection) -> None:
        """Do what the connection's socket is ready for."""
        if connection not in self._connections:
            return  # it was closed in this turn, in favour of a new one
        try:
            if connection.phase is Phase.HANDSHAKE:
                self._shake_hands(connection)
            elif connection.phase is Phase.READING:
                self._read(connection)
            elif connection.phase is Phase.WRITING:
                self._write(connection)
            else:
                connection.drain()
        except ClosedError as reason:
            self._connections.close(connection, str(reason))
        except BaseException:
            self._connections.close(connection, "a fault of the exporter")
            raise

    def _shake_hands(self, connection: Connection) -> None:
        if connection.handshake():
            connection.enter(Phase.READING)
        self._selector.modify(connection.sock, connection.interest, connection)

    def _read(self, connection: Connection) -> None:
        was_idle = not connection.http.pending
        connection.receive()
        if was_idle and connection.http.pending:
            connection.enter(Phase.READING)
        try:
            request = connection.http.next_request()
        except BadRequestError as error:
            connection.close_after = True
            self._start_answer(connection)
            self._reply(connection, plain(error.status, error.reason))
            return
        if request is not None:
            connection.pipelines = connection.pipelines or connection.http.pending > 0
            is_outdated = connection.tls not in (None, self._live.current.tls)
            connection.close_after = self.is_stopping or is_outdated
            self._start_answer(connection)
            self._handler.handle(request, connection.client, partial(self._answer, connection))

    def _start_answer(self, connection: Connection) -> None:
        connection.enter(Phase.ANSWERING)
        self._selector.unregister(connection.sock)

    def _answer(self, connection: Connection, response: Response) -> None:
        """Hand in the answer. Any thread may call it."""
        self._call(partial(self._reply, connection, response))

    def _reply(self, connection: Connection, response: Response) -> None:
        if connection not in self._connections or connection.phase is not Phase.ANSWERING:
            return  # the exporter stops
        try:
            parts, goes_on = connection.http.answer(response, close=connection.close_after)
        except BaseException:
            self._connections.close(connection, "a fault of the exporter")  # no time limit would
            raise
        connection.close_after = not goes_on
        connection.served = connection.served or response.status < 400
        connection.enter(Phase.WRITING)
        connection.send(parts)
        connection.interest = selectors.EVENT_WRITE
        self._selector.register(connection.sock, connection.interest, connection)
        self.step(connection)

    def _write(self, connection: Connection) -> None:
        if not connection.flush():
            self._selector.modify(connection.sock, connection.interest, connection)
            return
        connection.interest = selectors.EVENT_READ
        self._selector.modify(connection.sock, connection.interest, connection)
        if connection.close_after:
            connection.enter(Phase.DRAINING)
            connection.start_draining()
        else:
            connection.enter(Phase.READING, is_idle=not connection.http.pending)
            self._read(connection)  # the next request may have been read already, unseen by the selector
