"""Carry one poll over a unix or TCP socket; every wait in it ends at one deadline."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Final, Never

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.management import ManagementClient, PollError

_SLICE: Final = 0.2  # seconds: how soon a wait notices that the exporter stops
_RETRY: Final = 0.1  # seconds between attempts while OpenVPN's backlog is full
_CHUNK: Final = 64 * 1024  # bytes per read

_SILENT: Final = "it does not greet: another client holds it, or OpenVPN is busy with a script"


class StoppedError(Exception):
    """The exporter is stopping; the poll has no result."""


class DeadlineError(Exception):
    """The time limit of the whole poll is over."""


class Deadline:
    """The time limit of a poll, for waits that also end when the exporter stops."""

    def __init__(self, seconds: float, stopping: Callable[[], bool]) -> None:
        self._deadline = time.monotonic() + seconds
        self._stopping = stopping

    def remaining(self) -> float:
        """Return the seconds until the next check is due, 0.2 at most. Raise DeadlineError, StoppedError."""
        left = self._deadline - time.monotonic()
        if self._stopping():
            raise StoppedError
        if left <= 0:
            raise DeadlineError
        return min(left, _SLICE)

    def wait_ready(self, connection: socket.socket, event: int) -> None:
        """Wait for select.POLLIN or POLLOUT. Raise DeadlineError, StoppedError."""
        poll = select.poll()
        poll.register(connection, event)
        while not poll.poll(self.remaining() * 1000):
            pass


def connect(address: UnixAddress | TcpAddress, deadline: Deadline) -> socket.socket:
    """Return a connection, which OpenVPN may not have accepted yet.

    Raise PollError: busy if nothing accepts it, refused if nothing listens; StoppedError.
    """
    try:
        if isinstance(address, UnixAddress):
            return _connect(socket.AF_UNIX, address.path, deadline)
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for family, _, _, _, target in found[:-1]:
            try:
                return _connect(family, target, deadline)
            except OSError:
                continue  # localhost often has two addresses, and OpenVPN listens on one
        return _connect(found[-1][0], found[-1][4], deadline)
    except DeadlineError:
        raise PollError("busy", _SILENT) from None
    except UnicodeError:
        raise PollError("refused", "its host name is not a valid host name") from None
    except OSError as error:
        raise PollError("refused", f"cannot connect to it: {error.strerror or error}") from None


def run_poll(
    connection: socket.socket, client: ManagementClient, deadline: Deadline, answered: Callable[[], None]
) -> None:
    """Exchange bytes until the client is finished; call `answered` when load-stats has its reply.

    Raise PollError: busy if nothing was ever received, else timeout, refused, or the client's own; StoppedError.
    """
    out = b""
    try:
        while not client.finished:
            deadline.wait_ready(connection, select.POLLOUT if out else select.POLLIN)
            if out:
                out = out[connection.send(out) :]
                continue
            data = connection.recv(_CHUNK)
            if not data:
                _hung_up(client)
            unanswered = client.stats is None
            out = client.receive(data)
            if unanswered and client.stats:
                answered()
    except DeadlineError:
        if not client.bytes_received:
            raise PollError("busy", _SILENT) from None
        raise PollError("timeout", "it started to answer and then fell silent, or did not finish") from None
    except OSError:
        _hung_up(client)


def _connect(family: int, target: object, deadline: Deadline) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # With a full backlog, connect fails at once with EAGAIN on a Unix socket; on TCP it blocks.
        while (code := connection.connect_ex(target)) == errno.EAGAIN:  # type: ignore[arg-type]  # as family has it
            time.sleep(min(_RETRY, deadline.remaining()))
        if code == errno.EINPROGRESS:
            deadline.wait_ready(connection, select.POLLOUT)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301  # here, so that the socket is closed
    except BaseException:
        connection.close()
        raise
    return connection


def _hung_up(client: ManagementClient) -> Never:
    if client.bytes_received:
        raise PollError("protocol", "it closed the connection in the middle of its answer") from None
    raise PollError(
        "refused", "it closed the connection at once; may the exporter's user connect (--management-client-user)?"
    ) from None
