"""The sockets on which the kernel reports processes."""

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final

from exporter.process_events.messages import CN_IDX_PROC, Answer, Message, parse, request
from exporter.process_events.packetfilter import build, encode

_NETLINK_CONNECTOR: Final = 11
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")  # first the bytes that wait, then the room; last how many messages were dropped
_BUFFER: Final = 4 << 20  # bytes, which the kernel doubles: some 10,000 events, each taking 768; it may grant less
_LONGEST: Final = 256  # bytes of a message; they have 76
_ANSWER_WITHIN: Final = 0.5  # seconds; the kernel answers while the request is being sent, or never


class UnavailableError(Exception):
    """The kernel does not report processes to this process; the message says why, and the remedy."""


class Listener:
    """A socket that receives what the kernel was asked for by another. Used by one thread."""

    def __init__(self, parents: frozenset[int] | None) -> None:
        """Receive the events of these processes' children, None: of all. Raises UnavailableError."""
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_CONNECTOR
            )
        except OSError as error:
            raise UnavailableError(_refusal(error)) from None
        self._drops = 0
        try:
            self._enlarge()
            self.watch(parents)  # before the first event can come
            self._socket.bind((0, CN_IDX_PROC))
        except OSError as error:
            self._socket.close()
            raise UnavailableError(_refusal(error)) from None

    def watch(self, parents: frozenset[int] | None) -> None:
        """Report the children of these processes from now on, and the ends of the processes themselves; None: all."""
        program = build(parents)
        instructions = ctypes.create_string_buffer(encode(program))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(instructions))
        )

    def fileno(self) -> int:
        """Return the file descriptor, to wait for events."""
        return self._socket.fileno()

    def read(self) -> Iterator[Message]:
        """Yield the events that are there, oldest first. Raises OSError with ENOBUFS where some were dropped."""
        with contextlib.suppress(BlockingIOError):
            while True:
                message = parse(self._socket.recv(_LONGEST))
                if message:
                    yield message

    def read_all(self) -> tuple[list[Message], int]:
        """Return the events that are there, oldest first, and how many have been dropped since the last call."""
        read: list[Message] = []
        while True:
            try:
                read.extend(self.read())
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            else:
                return read, self.dropped()

    def dropped(self) -> int:
        """Return how many events the kernel has dropped since the last call, as the reader was too slow."""
        drops = self._memory()[-1]
        new = (drops - self._drops) & 0xFFFFFFFF
        self._drops = drops
        return new

    def fill(self) -> float:
        """Return how much of the room for events is taken, 1 = all."""
        waiting, room, *_ = self._memory()
        return waiting / room

    def close(self) -> None:
        """Receive no more."""
        self._socket.close()

    def _memory(self) -> tuple[int, ...]:
        return _MEMINFO.unpack_from(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64))

    def _enlarge(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # without CAP_NET_ADMIN: up to net.core.rmem_max
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


class Connector(Listener):
    """A socket that asks for the events."""

    def __init__(self, parents: frozenset[int]) -> None:
        """Ask for the events of these processes' children. Raises UnavailableError."""
        super().__init__(parents)
        try:
            port = self._socket.getsockname()[0]
            self._socket.send(request(port))
            self._await_answer(port)
        except OSError as error:
            self._socket.close()
            raise UnavailableError(_refusal(error)) from None
        except UnavailableError:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the reports; before Linux 6.6 the kernel would go on making them for nobody."""
        with contextlib.suppress(OSError):
            self._socket.send(request(self._socket.getsockname()[0], listen=False))
        super().close()

    def _await_answer(self, port: int) -> None:
        while select.select([self._socket], [], [], _ANSWER_WITHIN)[0]:
            for message in self.read():
                if isinstance(message, Answer) and message.port == port:
                    if message.error:
                        raise OSError(message.error, os.strerror(message.error))
                    return
        raise UnavailableError(
            "the kernel does not answer; it reports processes only to the host's own PID and user namespace: "
            "run a container with --pid=host and --network=host"
        )


def _refusal(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return (
            "the kernel reports processes to everybody from Linux 6.6 on, and before that only with CAP_NET_ADMIN: "
            "add AmbientCapabilities=CAP_NET_ADMIN and CapabilityBoundingSet=CAP_NET_ADMIN to the exporter's unit "
            "(systemctl edit openvpn-mq-exporter), or use a newer kernel"
        )
    if error.errno == errno.ECONNREFUSED:
        return (
            "the kernel reports processes only in the host's own network namespace: "
            "run a container with --network=host and --pid=host"
        )
    if error.errno == errno.EAFNOSUPPORT:
        return (
            "the service may open no netlink socket: add AF_NETLINK to RestrictAddressFamilies= in the exporter's unit"
        )
    if error.errno == errno.EPROTONOSUPPORT:
        return "the kernel was built without CONFIG_PROC_EVENTS"
    return f"the process connector cannot be opened: {error.strerror}"
