"""One connection of a client: what it does when its socket is ready. Never blocks."""

import contextlib
import math
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from exporter.web.http1 import MAX_HEAD, Http1
from exporter.web.request import Client
from exporter.web.tls import Tls, alternative_names

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
_CHUNK: Final = 16 * 1024
_MAX_WRITES: Final = 16  # chunks per turn, so that a client that reads fast does not keep the others waiting
_WRITE_CHUNK: Final = 64 * 1024
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Phase(Enum):
    """What a connection is at."""

    HANDSHAKE = auto()
    READING = auto()  # a request, or waiting for one
    ANSWERING = auto()  # a worker makes the answer
    WRITING = auto()
    DRAINING = auto()  # all is sent and our side closed; what the client still sends is thrown away


# How long a client may take for each, in seconds. ANSWERING is up to the exporter.
_LIMITS: Final = {
    Phase.HANDSHAKE: 10.0,
    Phase.READING: 10.0,  # for a whole request, from its first byte; the first request from the connection's beginning
    Phase.ANSWERING: math.inf,
    Phase.WRITING: 60.0,  # for the whole answer
    Phase.DRAINING: 2.0,
}
_STALLED: Final = 5.0  # seconds in which a client that is there takes some of its answer, over whatever line
_IDLE: Final = 300.0  # between two requests; Prometheus comes back long before


class ClosedError(Exception):
    """The connection is over; the message is the reason, for the log."""


class Connection:
    """A socket, and how far its client has come."""

    def __init__(self, sock: socket.socket, tls: Tls | None, *, is_own: bool = False) -> None:
        """`is_own`: its other end is the exporter itself."""
        self.is_own = is_own
        self.tls = tls
        self.served = False  # whether a request of it was ever answered with what it asked for
        self.pipelines = False  # whether a request of it ever came before the answer to the one before
        self.close_after = False  # the answer under way
        self.http = Http1()
        self.interest = _READ
        self._output: deque[memoryview] = deque()
        self.sock = sock
        self.enter(Phase.HANDSHAKE if tls else Phase.READING)

    def enter(self, phase: Phase, *, is_idle: bool = False) -> None:
        """Begin a phase, and the time that the client has for it; `is_idle`: no part of a request is there yet."""
        self.phase = phase
        self.moved_at = time.monotonic()
        self.deadline = self.moved_at + (_IDLE if is_idle else _LIMITS[phase])

    @property
    def client(self) -> Client:
        """What is known of the client."""
        return "own" if self.is_own else "known" if self.served else "new"

    @property
    def is_idle(self) -> bool:
        """Whether it waits for another request; clients know that such a connection may be closed at any time."""
        return self.served and self.phase is Phase.READING and not self.http.pending

    @property
    def is_careless(self) -> bool:
        """Whether its client asks without waiting for answers, which no Prometheus does, or takes nothing of one."""
        is_stalled = self.phase is Phase.WRITING and time.monotonic() > self.moved_at + _STALLED
        return self.pipelines or is_stalled

    def close(self) -> None:
        """Close the socket without waiting for anything."""
        self._output.clear()
        self.sock.close()

    def handshake(self) -> bool:
        """Go on with the TLS handshake; return whether it is done. Raises ClosedError."""
        assert self.tls  # noqa: S101  # or the phase would be another
        try:
            if not isinstance(self.sock, ssl.SSLSocket):
                if self._speaks_http():
                    raise ClosedError("HTTP on a port for HTTPS")
                self.sock = self.tls.context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
            self.sock.do_handshake()
        except ssl.SSLWantWriteError:
            self.interest = _WRITE
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            self.interest = _READ
            return False
        except (OSError, ValueError) as error:
            raise ClosedError(f"TLS handshake: {error}") from None
        if self.tls.allowed_sans and not self.tls.allowed_sans & alternative_names(self.sock.getpeercert()):
            raise ClosedError("TLS handshake: none of the certificate's names is in client_allowed_sans")
        self.interest = _READ
        return True

    def _speaks_http(self) -> bool:
        """Return whether the client begins in plain HTTP; explain it to the client then, as no TLS library would."""
        start = self.sock.recv(8, socket.MSG_PEEK)
        if not start.startswith((b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ")):
            return False
        body = b"this port speaks HTTPS, and the request is plain HTTP\n"
        with contextlib.suppress(OSError):
            self.sock.recv(MAX_HEAD)  # what is left unread would reset the connection, and the answer with it
            self.sock.send(
                b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            self.sock.shutdown(socket.SHUT_WR)
        return True

    def receive(self) -> None:
        """Read what has come, up to somewhat more than a request's head. Raises ClosedError."""
        try:
            while self.http.pending <= MAX_HEAD:
                data = self.sock.recv(_CHUNK)
                if not data:
                    raise ClosedError("the client closed it")
                self.http.receive(data)
                if len(data) < _CHUNK and not self._has_more():
                    break
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            raise ClosedError(str(error)) from None

    def _has_more(self) -> bool:
        """Return whether TLS has decrypted more than was read, which the selector does not see."""
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def send(self, parts: Iterable[bytes]) -> None:
        """Queue bytes for `flush`."""
        self._output.extend(map(memoryview, parts))

    def flush(self) -> bool:
        """Write as much as goes in one turn; return whether all is written. Raises ClosedError."""
        try:
            for _ in range(_MAX_WRITES):
                if not self._output:
                    return True
                first = self._output[0]
                sent = self.sock.send(first[:_WRITE_CHUNK])
                self.moved_at = time.monotonic()
                if sent == len(first):
                    self._output.popleft()
                else:
                    self._output[0] = first[sent:]
        except ssl.SSLWantReadError:
            self.interest = _READ
            return False
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            raise ClosedError(str(error)) from None
        self.interest = _WRITE
        return not self._output

    def start_draining(self) -> None:
        """Close our side: a plain close would throw away the answer if the client has sent more than was read."""
        self.interest = _READ
        with contextlib.suppress(OSError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()  # sends close_notify; does not wait for the client's
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Throw away what has come. Raises ClosedError at its end."""
        try:
            for _ in range(_MAX_WRITES):
                if not self.sock.recv(_CHUNK):
                    raise ClosedError("done")
        except _WOULD_BLOCK:
            pass
        except (OSError, ValueError):
            raise ClosedError("done") from None
