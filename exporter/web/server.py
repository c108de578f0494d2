"""The thread that serves all connections; it never waits for one of them, and never does a request's work."""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from exporter.logs import StateLog
from exporter.web.calls import Calls, guard
from exporter.web.connection import Connection, Phase
from exporter.web.connections import OpenConnections
from exporter.web.handler import Handler
from exporter.web.listen import Listener, ListenerSet
from exporter.web.live import LiveWebConfig
from exporter.web.protocol import HttpProtocol

_log = logging.getLogger(__name__)

_SEND_BUFFER: Final = 256 * 1024  # bytes; the kernel would give a client that does not read several megabytes
_NEW_PER_TURN: Final = 32  # of new connections that are accepted, and of those that are served
_SWEEP: Final = 0.25  # seconds between two looks for connections that are past their deadline


class Server:
    """Serves listening sockets from one thread."""

    def __init__(self, listeners: Iterable[Listener], handler: Handler, live: LiveWebConfig) -> None:
        """Take sockets that listen already; nothing is accepted before `start`."""
        self._live = live
        self._selector = selectors.DefaultSelector()
        self._listeners = ListenerSet(listeners, self._selector)
        self._connections = OpenConnections(self._selector)
        self._calls = Calls(self._selector)
        self._protocol = HttpProtocol(self._selector, self._connections, handler, live, self._calls.add)
        self._stop_by: float | None = None
        self._state_log = StateLog(_log)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Accept connections from now on."""
        self._calls.open()
        self._listeners.open(self._accept)
        for name in self._listeners.names:
            _log.info("listening", extra={"fields": {"address": name}})
        self._thread.start()

    def stop(self, within: float) -> bool:
        """Accept no more, finish the answers under way; return whether that was done in time."""
        if not self._thread.is_alive():
            self._listeners.close()
            return True
        self._calls.add(partial(self._start_stop, time.monotonic() + within))
        self._thread.join(within + 0.5)
        return not self._thread.is_alive()

    def connect(self) -> socket.socket:
        """Return our end of a connection to this server that needs neither TLS nor password. Any thread may call it."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._calls.add(partial(self._connections.add, Connection(theirs, None, is_own=True)))
        return ours

    def _run(self) -> None:
        sweep_at = 0.0
        while self._stop_by is None or (self._connections.are_answering and time.monotonic() < self._stop_by):
            self._turn([key.data for key, _events in self._selector.select(_SWEEP)])
            if (now := time.monotonic()) >= sweep_at:
                self._listeners.resume()
                self._connections.close_overdue(now, self._live.current.tls)
                sweep_at = now + _SWEEP
        self._connections.close_all("the exporter stops")
        self._selector.close()
        self._calls.close()

    def _turn(self, ready: list[Connection | Callable[[], None]]) -> None:
        """Serve known clients first, then some of the new ones; the others are ready in the next turn, too."""
        new = [each for each in ready if _is_new(each)]
        for each in (*(each for each in ready if not _is_new(each)), *new[:_NEW_PER_TURN]):
            guard(partial(self._protocol.step, each) if isinstance(each, Connection) else each)

    def _start_stop(self, stop_by: float) -> None:
        self._stop_by = stop_by
        self._protocol.is_stopping = True
        self._listeners.close()
        for connection in self._connections:
            connection.close_after = True
            if connection.phase in (Phase.HANDSHAKE, Phase.READING):
                self._connections.close(connection, "the exporter stops")

    def _accept(self, listener: Listener) -> None:
        if self._protocol.is_stopping:
            return  # it was closed in this turn, by a call that came before
        for _ in range(_NEW_PER_TURN):
            try:
                sock, _address = listener.socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client has gone again
            except OSError as error:  # no descriptor or memory is left
                if not self._connections.evict():
                    self._state_log.problem("accept", f"cannot accept connections: {error.strerror}")
                    self._listeners.pause(listener)
                return
            self._state_log.resolved("accept", "connections are accepted again")
            if self._connections.are_too_many and not self._connections.evict():
                sock.close()
                continue
            sock.setblocking(False)
            if not listener.is_local:
                # Or the last piece of a page waits for the client to acknowledge the one before.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            tls = None if listener.is_local else self._live.current.tls
            self._connections.add(Connection(sock, tls))


def _is_new(ready: Connection | Callable[[], None]) -> bool:
    return isinstance(ready, Connection) and ready.client == "new"
