"""The thread that serves all connections; it never waits for one of them, and never does a request's work."""

import contextlib
import logging
import resource
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from exporter.logs import StateLog
from exporter.web.connection import ClosedError, Connection, Phase
from exporter.web.handler import Handler
from exporter.web.listen import Listener, ListenerSet
from exporter.web.live import LiveWebConfig
from exporter.web.request import BadRequestError, Request, take_request
from exporter.web.response import Response, encode, plain

_log = logging.getLogger(__name__)

_MAX_CONNECTIONS: Final = 600
_SEND_BUFFER: Final = 256 * 1024  # bytes; the kernel would give a client that does not read several megabytes
_NEW_PER_TURN: Final = 32  # of new connections that are accepted, and of those that are served
_SWEEP: Final = 0.25  # seconds between two looks for connections that are past their deadline


class Server:
    """Serves listening sockets from one thread.

    The number of connections is bounded: if there are too many, the one that has waited longest for its client is
    closed in favour of a new one, first of those that were never served. So idle clients do not keep others out.
    """

    def __init__(self, listeners: Iterable[Listener], handler: Handler, live: LiveWebConfig) -> None:
        """Take sockets that listen already; nothing is accepted before `start`."""
        self._handler = handler
        self._live = live
        self._selector = selectors.DefaultSelector()
        self._listeners = ListenerSet(listeners, self._selector)
        self._connections: set[Connection] = set()
        self._max_connections = min(_MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._woken, self._waker = socket.socketpair()
        self._calls: deque[Callable[[], None]] = deque()
        self._stop_by: float | None = None
        self._state_log = StateLog(_log)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Accept connections from now on."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._do_calls)
        self._listeners.open(self._accept)
        for name in self._listeners.names:
            _log.info("listening", extra={"fields": {"address": name}})
        self._thread.start()

    def stop(self, within: float) -> bool:
        """Accept no more, finish the answers under way; return whether that was done in time."""
        if not self._thread.is_alive():
            self._listeners.close()
            return True
        self._call(partial(self._start_stop, time.monotonic() + within))
        self._thread.join(within + 0.5)
        return not self._thread.is_alive()

    def connect(self) -> socket.socket:
        """Return our end of a connection to this server that needs neither TLS nor password. Any thread may call it."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._call(partial(self._add, Connection(theirs, None, is_own=True)))
        return ours

    def _call(self, function: Callable[[], None]) -> None:
        """Have the server's thread do something. Any thread may call it."""
        self._calls.append(function)
        with contextlib.suppress(OSError):  # full: it is awake anyway; closed: it has stopped
            self._waker.send(b"\0")

    def _run(self) -> None:
        sweep_at = 0.0
        while self._stop_by is None or (self._is_busy() and time.monotonic() < self._stop_by):
            self._turn([key.data for key, _events in self._selector.select(_SWEEP)])
            if (now := time.monotonic()) >= sweep_at:
                self._sweep(now)
                sweep_at = now + _SWEEP
        for connection in list(self._connections):
            self._close(connection, "the exporter stops")
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _turn(self, ready: list[Connection | Callable[[], None]]) -> None:
        """Serve known clients first, then some of the new ones; the others are ready in the next turn, too."""
        new = [each for each in ready if _is_new(each)]
        for each in (*(each for each in ready if not _is_new(each)), *new[:_NEW_PER_TURN]):
            self._guard(partial(self._step, each) if isinstance(each, Connection) else each)

    def _guard(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception:  # noqa: BLE001  # logged whole; the thread must live on for all other connections
            _log.exception("connection failed")

    def _do_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        for _ in range(len(self._calls)):  # not those that they make: one client with many requests is not all there is
            self._guard(self._calls.popleft())

    def _is_busy(self) -> bool:
        return any(each.phase in (Phase.ANSWERING, Phase.WRITING) for each in self._connections)

    def _start_stop(self, stop_by: float) -> None:
        self._stop_by = stop_by
        self._listeners.close()
        for connection in list(self._connections):
            connection.close_after = True
            if connection.phase in (Phase.HANDSHAKE, Phase.READING):
                self._close(connection, "the exporter stops")

    def _accept(self, listener: Listener) -> None:
        for _ in range(_NEW_PER_TURN):
            try:
                sock, _address = listener.socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client has gone again
            except OSError as error:  # no descriptor or memory is left
                if not self._evict():
                    self._state_log.problem("accept", f"cannot accept connections: {error.strerror}")
                    self._listeners.pause(listener)
                return
            self._state_log.resolved("accept", "connections are accepted again")
            if len(self._connections) >= self._max_connections and not self._evict():
                sock.close()
                continue
            sock.setblocking(False)
            if not listener.is_local:
                # Or the last piece of a page waits for the client to acknowledge the one before.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            tls = None if listener.is_local else self._live.current.tls
            self._add(Connection(sock, tls))

    def _evict(self) -> bool:
        """Close a connection that waits for its client: one that is done, or else the one that has waited longest."""
        waiting = [each for each in self._connections if each.phase not in (Phase.ANSWERING, Phase.WRITING)]
        if not waiting:
            return False
        first = min(waiting, key=lambda each: (each.phase is not Phase.DRAINING, each.served, each.deadline))
        self._close(first, "there are too many")
        return True

    def _add(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._selector.register(connection.sock, connection.interest, connection)

    def _sweep(self, now: float) -> None:
        self._listeners.resume()
        tls = self._live.current.tls
        for connection in list(self._connections):
            if now > connection.deadline:
                self._close(connection, f"the client took too long ({connection.phase.name.lower()})")
            elif connection.is_idle and connection.tls not in (None, tls):
                self._close(connection, "the certificates have changed")

    def _close(self, connection: Connection, why: str) -> None:
        self._connections.discard(connection)
        with contextlib.suppress(KeyError, ValueError):  # it is not registered while its answer is made
            self._selector.unregister(connection.sock)
        connection.close()
        _log.debug("connection closed", extra={"fields": {"reason": why}})

    def _step(self, connection: Connection) -> None:
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
            self._close(connection, str(reason))
        except BaseException:
            self._close(connection, "a fault of the exporter")
            raise

    def _shake_hands(self, connection: Connection) -> None:
        if connection.handshake():
            connection.enter(Phase.READING)
        self._selector.modify(connection.sock, connection.interest, connection)

    def _read(self, connection: Connection) -> None:
        was_idle = not connection.buffer
        connection.receive()
        if was_idle and connection.buffer:
            connection.enter(Phase.READING)
        try:
            request = take_request(connection.buffer)
        except BadRequestError as error:
            connection.close_after = True
            self._answering(connection)
            self._reply(connection, encode(plain(error.status, error.reason), head_only=False, close=True), good=False)
            return
        if request is not None:
            is_outdated = connection.tls not in (None, self._live.current.tls)
            connection.close_after = not request.keep_alive or self._stop_by is not None or is_outdated
            self._answering(connection)
            self._handler.handle(request, connection.client, partial(self._answer, connection, request))

    def _answering(self, connection: Connection) -> None:
        connection.enter(Phase.ANSWERING)
        self._selector.unregister(connection.sock)

    def _answer(self, connection: Connection, request: Request, response: Response) -> None:
        """Hand in the answer. Any thread may call it."""
        parts = encode(response, head_only=request.method == "HEAD", close=connection.close_after)
        self._call(partial(self._reply, connection, parts, good=response.status < 400))

    def _reply(self, connection: Connection, parts: list[bytes], *, good: bool) -> None:
        if connection not in self._connections or connection.phase is not Phase.ANSWERING:
            return  # the exporter stops
        connection.served = connection.served or good
        connection.enter(Phase.WRITING)
        connection.send(parts)
        connection.interest = selectors.EVENT_WRITE
        self._selector.register(connection.sock, connection.interest, connection)
        self._step(connection)

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
            connection.enter(Phase.READING, is_idle=not connection.buffer)
            self._read(connection)  # the next request may have been read already, unseen by the selector


def _is_new(ready: Connection | Callable[[], None]) -> bool:
    return isinstance(ready, Connection) and ready.client == "new"
