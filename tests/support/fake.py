"""A management interface that does what the test tells it, for what the real one does not do on demand."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.probes.poller import Poller, PollResult

BANNER = b">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n"
ALLOWED = {b"load-stats", b"version", b"verb", b"mute", b"status 3"}

PROC = Path("/proc")
SHORT = 1.0  # seconds: a time limit that the test wants to run out

Behaviour = Callable[["Peer"], None]


class Peer:
    """One connection, from the interface's side; what it is sent is recorded."""

    def __init__(self, connection: socket.socket, record: list[bytes]) -> None:
        self.connection = connection
        self._record = record
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def line(self) -> bytes:
        """The next line; b"" at the end."""
        while b"\n" not in self._rest:
            data = self.connection.recv(4096)
            if not data:
                return b""
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        self._record.append(line)
        return line

    def wait_for_end(self) -> None:
        """Say nothing until the other side has gone."""
        while self.connection.recv(4096):
            pass


REPLIES = {
    b"load-stats": b"SUCCESS: nclients=3,bytesin=100,bytesout=200\r\n",
    b"version": b"OpenVPN Version: OpenVPN 2.6.14 x86_64\r\nManagement Version: 5\r\nEND\r\n",
    b"verb": b"SUCCESS: verb=3\r\n",
    b"mute": b"SUCCESS: mute=0\r\n",
    b"status 3": b"TITLE\tOpenVPN\r\nHEADER\tCLIENT_LIST\t"
    b"Common Name\tBytes Received\tBytes Sent\tClient ID\tConnected Since (time_t)\r\n"
    b"CLIENT_LIST\talice\t10\t20\t0\t1795466340\r\nEND\r\n",
}


def answer(peer: Peer) -> None:
    """As OpenVPN does."""
    peer.send(BANNER)
    while line := peer.line():
        peer.send(REPLIES.get(line, b"ERROR: unknown command\r\n"))


def say(data: bytes, *, then_hang: bool = False) -> Behaviour:
    """Say this, whatever is asked, and hang up; or wait until the other side does."""

    def behaviour(peer: Peer) -> None:
        peer.send(data)
        if then_hang:
            peer.wait_for_end()

    return behaviour


def endlessly(data: bytes, pause: float = 0.0, first: bytes = b"") -> Behaviour:
    """Say `first` once, then the same without end, with a pause in seconds."""

    def behaviour(peer: Peer) -> None:
        peer.send(first)
        while True:
            peer.send(data)
            time.sleep(pause)

    return behaviour


class Fake:
    """Listens until the block is left; serves one connection after the other, as OpenVPN does."""

    def __init__(self, address: UnixAddress | TcpAddress, behaviour: Behaviour, backlog: int = 8) -> None:
        self.address = address
        self.behaviour = behaviour
        self.record: list[bytes] = []
        if isinstance(address, UnixAddress):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(address.path)
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
            self._listener.bind((address.host, address.port))
            self.address = TcpAddress(address.host, self._listener.getsockname()[1])
        self._listener.listen(backlog)
        self._serving: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="fake management")
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended = True
        for sock in (self._listener, self._serving):
            if sock:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._serving = connection
            with connection, contextlib.suppress(OSError):
                self.behaviour(Peer(connection, self.record))
            self._serving = None


def server(address: UnixAddress | TcpAddress, **more: object) -> OpenVpnServer:
    """A server's configuration with plenty of time."""
    return OpenVpnServer(**{"name": "s", "management": address, "management_timeout": 30.0, **more})  # type: ignore[arg-type]


@contextlib.contextmanager
def silent(path: Path, backlog: int) -> Iterator[socket.socket]:
    """A unix socket that is listened on and where nothing is ever accepted: OpenVPN that stands still."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        yield listener


def poll(configured: OpenVpnServer, times: int = 1) -> tuple[Poller, PollResult]:
    """The poller after so many polls, and the result of the last."""
    results: list[PollResult] = []
    poller = Poller(configured, PROC, results.append)
    for _ in range(times):
        poller.poll()
    assert len(results) == times
    return poller, results[-1]
