"""Listening sockets: TCP, and unix sockets for a proxy on the same host."""

import contextlib
import os
import selectors
import socket
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from exporter.config.model import Address, UnixAddress
from exporter.errors import RefusedError

_BACKLOG: Final = 512
_UNIX_MODE: Final = 0o660  # the proxy's user needs to be in the exporter's group


class Listener(NamedTuple):
    """A socket that listens."""

    socket: socket.socket
    name: str  # for the log
    is_local: bool = False  # a unix socket: its clients are on this host, and TLS is left to the proxy
    made: str = ""  # the unix socket's file, if it is ours to remove


def listen(address: Address | UnixAddress) -> Listener:
    """Bind and listen. Raises RefusedError if the system refuses."""
    try:
        return _unix(address) if isinstance(address, UnixAddress) else _tcp(address)
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeError:
        reason = "it is not a host name"
    where = f"unix:{address.path}" if isinstance(address, UnixAddress) else _name(*address)
    raise RefusedError(f"cannot listen on {where}: {reason}; choose another --web.listen-address")


def wrap(listening: socket.socket) -> Listener:
    """Take a socket that is bound already."""
    listening.setblocking(False)
    if listening.family == socket.AF_UNIX:
        return Listener(listening, f"unix:{listening.getsockname()}", is_local=True)
    return Listener(listening, _name(*listening.getsockname()[:2]))


def _name(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tcp(address: Address) -> Listener:
    """Listen on one address; an empty host, and [::] as in Go, is every address, of IPv4 and of IPv6."""
    host = address.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104  # as every exporter does
    family = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, address.port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return wrap(listening)


def _unix(address: UnixAddress) -> Listener:
    """Listen on a unix socket; one that a former run has left behind is replaced."""
    path = Path(address.path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_served(path):
            path.unlink()
        listening.bind(str(path))
        os.chmod(path, _UNIX_MODE)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return wrap(listening)._replace(made=address.path)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def close(listener: Listener) -> None:
    """Listen no more; a unix socket's file goes too, unless systemd made it."""
    listener.socket.close()
    if listener.made:
        with contextlib.suppress(OSError):
            os.unlink(listener.made)


class ListenerSet:
    """The sockets that a server listens on; called by the server's thread only, once that runs."""

    def __init__(self, listeners: Iterable[Listener], selector: selectors.BaseSelector) -> None:
        self._listeners = list(listeners)
        self._selector = selector
        self._paused: dict[Listener, Callable[[], None]] = {}

    def open(self, accept: Callable[[Listener], None]) -> None:
        """Have `accept` called by the selector's owner whenever a client waits."""
        for listener in self._listeners:
            self._selector.register(listener.socket, selectors.EVENT_READ, partial(accept, listener))

    def pause(self, listener: Listener) -> None:
        """Let clients wait until `resume`; a socket that cannot be accepted from would be ready again and again."""
        self._paused[listener] = self._selector.unregister(listener.socket).data

    def resume(self) -> None:
        """End all pauses."""
        while self._paused:
            listener, accept = self._paused.popitem()
            self._selector.register(listener.socket, selectors.EVENT_READ, accept)

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            with contextlib.suppress(KeyError, ValueError):  # paused, never opened, or closed already
                self._selector.unregister(listener.socket)
            close(listener)
        self._paused.clear()

    @property
    def names(self) -> list[str]:
        """The addresses, for the log."""
        return [listener.name for listener in self._listeners]
