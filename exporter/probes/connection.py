"""Carries a dialogue over a unix or TCP socket; every wait in it ends at one deadline."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Final, Never

from exporter.config.model import TcpAddress, UnixAddress
from exporter.openvpn.management import Dialogue, PollError

_SLICE: Final = 0.2  # seconds: how soon a wait notices that the exporter stops
_AGAIN: Final = 0.1  # seconds between tries where OpenVPN's queue of waiting connections is full
_PART: Final = 64 * 1024  # bytes a read

_SILENT: Final = "it says nothing: another client holds it, or OpenVPN is busy with a script"


class StoppedError(Exception):
    """The exporter stops; the poll has no result."""


class DeadlineError(Exception):
    """The time for the whole poll is over."""


class Patience:
    """Waits, until the deadline or the exporter's stop."""

    def __init__(self, seconds: float, stopping: Callable[[], bool]) -> None:
        self._deadline = time.monotonic() + seconds
        self._stopping = stopping

    def slice(self) -> float:
        """Seconds that may be waited now. Raises DeadlineError, StoppedError."""
        left = self._deadline - time.monotonic()
        if self._stopping():
            raise StoppedError
        if left <= 0:
            raise DeadlineError
        return min(left, _SLICE)

    def ready(self, connection: socket.socket, event: int) -> None:
        """Wait for select.POLLIN or POLLOUT. Raises DeadlineError, StoppedError."""
        poll = select.poll()
        poll.register(connection, event)
        while not poll.poll(self.slice() * 1000):
            pass


def connect(address: UnixAddress | TcpAddress, patience: Patience) -> socket.socket:
    """A connection, perhaps one that OpenVPN has not accepted yet.

    Raises PollError: busy where nobody takes it, refused where nobody is there; StoppedError.
    """
    try:
        if isinstance(address, UnixAddress):
            return _connect(socket.AF_UNIX, address.path, patience)
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        for family, _, _, _, target in found[:-1]:
            try:
                return _connect(family, target, patience)
            except OSError:
                continue  # localhost is often two addresses, and OpenVPN listens on one
        return _connect(found[-1][0], found[-1][4], patience)
    except DeadlineError:
        raise PollError("busy", _SILENT) from None
    except UnicodeError:
        raise PollError("refused", "its host name cannot be a name of a host") from None
    except OSError as error:
        raise PollError("refused", f"cannot connect to it: {error.strerror or error}") from None


def converse(connection: socket.socket, dialogue: Dialogue, patience: Patience, answered: Callable[[], None]) -> None:
    """To the dialogue's end; calls `answered` when load-stats has its reply.

    Raises PollError: busy where nothing was ever said, else timeout, refused, or the dialogue's own; StoppedError.
    """
    out = b""
    try:
        while not dialogue.finished:
            patience.ready(connection, select.POLLOUT if out else select.POLLIN)
            if out:
                out = out[connection.send(out) :]
                continue
            data = connection.recv(_PART)
            if not data:
                _hung_up(dialogue)
            unanswered = dialogue.stats is None
            out = dialogue.receive(data)
            if unanswered and dialogue.stats:
                answered()
    except DeadlineError:
        if not dialogue.heard:
            raise PollError("busy", _SILENT) from None
        raise PollError("timeout", "it began to speak and then fell silent, or does not come to an end") from None
    except OSError:
        _hung_up(dialogue)


def _connect(family: int, target: object, patience: Patience) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # A unix socket's full queue says so at once: TCP's makes us wait.
        while (code := connection.connect_ex(target)) == errno.EAGAIN:  # type: ignore[arg-type]  # as family has it
            time.sleep(min(_AGAIN, patience.slice()))
        if code == errno.EINPROGRESS:
            patience.ready(connection, select.POLLOUT)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301  # here, so that the socket is closed
    except BaseException:
        connection.close()
        raise
    return connection


def _hung_up(dialogue: Dialogue) -> Never:
    if dialogue.heard:
        raise PollError("protocol", "it hung up in the middle of the dialogue") from None
    raise PollError(
        "refused", "it hung up without a word; may the exporter's user connect (--management-client-user)?"
    ) from None
