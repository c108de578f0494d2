"""The filter, executed by the kernel on a socket of the test's own."""

import ctypes
import socket
import struct

import pytest

from exporter.process_events.messages import EXIT, FORK, NONE
from exporter.process_events.packetfilter import MOST_PIDS, build, encode
from tests.support.events import datagram

SO_ATTACH_FILTER = 26
PARENTS = frozenset({4711, 0x01020304})


def passes(parents: frozenset[int] | None, message: bytes) -> bool:
    """Whether a socket with the filter for these parents receives the message."""
    program = build(parents)
    buffer = ctypes.create_string_buffer(encode(program))
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with one, other:
        other.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer))
        )
        try:
            one.send(message)
            return other.recv(256) == message
        except (BlockingIOError, PermissionError):  # unix sockets tell the sender
            return False


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (datagram(FORK, 1, 4711, 20, 20), True),
        (datagram(FORK, 1, 0x01020304, 20, 20), True),
        (datagram(FORK, 4711, 4712, 20, 20), False),  # another's child
        (datagram(FORK, 1, 4711, 21, 20), False),  # a thread
        (datagram(EXIT, 20, 20, 0, 17, 4711, 4711), True),
        (datagram(EXIT, 20, 20, 0, 17, 1, 4712), False),
        (datagram(EXIT, 21, 20, 0, 17, 4711, 4711), False),  # a thread
        (datagram(EXIT, 20, 20, 0, 17, 0, 0), True),  # a parent that was faster, perhaps one of ours
        (datagram(EXIT, 4711, 4711, 0, 17, 1, 1), True),  # the parent itself
        (datagram(EXIT, 4712, 4711, 0, 17, 1, 1), False),  # a thread of it
        (datagram(0x2, 4711, 4711), False),  # PROC_EVENT_EXEC
        (datagram(0x200, 4711, 4711), False),  # PROC_EVENT_COMM
        (datagram(NONE, 0), True),
    ],
)
def test_what_passes(message: bytes, expected: bool) -> None:
    assert passes(PARENTS, message) == expected


def test_as_many_as_it_may_have() -> None:
    """The last of them passes like the first; one more is refused before the kernel refuses it."""
    parents = frozenset(range(1000, 1000 + MOST_PIDS))
    assert passes(parents, datagram(FORK, 1, 999 + MOST_PIDS, 20, 20))
    assert passes(parents, datagram(EXIT, 20, 20, 0, 17, 1, 1000))
    assert not passes(parents, datagram(FORK, 1, 999, 20, 20))
    with pytest.raises(ValueError, match="more than"):
        build(parents | {1})


def test_nobody_is_followed() -> None:
    assert not passes(frozenset(), datagram(FORK, 1, 4711, 20, 20))
    assert passes(frozenset(), datagram(NONE, 0))


def test_everybody() -> None:
    """Processes and what they execute, still no threads, and no other events."""
    assert passes(None, datagram(FORK, 1, 4712, 20, 20))
    assert passes(None, datagram(EXIT, 20, 20, 0, 17, 4712, 4712))
    assert not passes(None, datagram(FORK, 1, 4712, 21, 20))
    assert passes(None, datagram(0x2, 20, 20))  # PROC_EVENT_EXEC
    assert not passes(None, datagram(0x200, 20, 20))  # PROC_EVENT_COMM
