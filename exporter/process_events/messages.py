"""The process connector's messages: netlink header, connector header, event (linux/connector.h, linux/cn_proc.h)."""

import struct
from typing import Final, NamedTuple

CN_IDX_PROC: Final = 1  # the connector's number of the process events, and their multicast group

# Event types, the field `what`. Offsets of fields from the start of the netlink message; all fields are 32 bits wide.
NONE: Final = 0x0  # answers a request
FORK: Final = 0x1
EXEC: Final = 0x2
EXIT: Final = 0x80000000
WHAT: Final = 36
FORK_PARENT_TGID: Final = 56
FORK_CHILD_PID: Final = 60
FORK_CHILD_TGID: Final = 64
EXIT_PID: Final = 52
EXIT_TGID: Final = 56
EXIT_PARENT_TGID: Final = 72

_LISTEN: Final = 1  # PROC_CN_MCAST_LISTEN
_IGNORE: Final = 2  # PROC_CN_MCAST_IGNORE
_NLMSG_DONE: Final = 3
_NETLINK_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_CONNECTOR_HEADER: Final = struct.Struct("=IIIIHH")  # idx, val, seq, ack, length, flags
_OPERATION: Final = struct.Struct("=I")
_EVENT: Final = struct.Struct("=II Q 4I")  # what, cpu, nanoseconds of CLOCK_MONOTONIC, then four fields of the event
_EXIT_PARENT: Final = struct.Struct("=II")  # pid and tgid of the parent; missing before Linux 4.18


class Fork(NamedTuple):
    """A process, not a thread, has come to be."""

    at: int  # nanoseconds of CLOCK_MONOTONIC
    parent: int  # pid of the parent
    pid: int


class Exec(NamedTuple):
    """A process executes another program from now on."""

    at: int
    pid: int


class Exit(NamedTuple):
    """A process has ended."""

    at: int
    parent: int  # 0: the parent has collected its status before the kernel looked for it
    pid: int
    status: int  # as wait(2) has it


class Answer(NamedTuple):
    """The kernel's answer to a request, which all who listen receive."""

    port: int  # of the socket that had asked
    error: int  # an errno; 0 = it was granted


Message = Fork | Exec | Exit | Answer


def request(port: int, *, listen: bool = True) -> bytes:
    """Return the message that asks for the events, or that ends asking."""
    operation = _OPERATION.pack(_LISTEN if listen else _IGNORE)
    content = _CONNECTOR_HEADER.pack(CN_IDX_PROC, CN_IDX_PROC, 0, port, len(operation), 0) + operation
    return _NETLINK_HEADER.pack(_NETLINK_HEADER.size + len(content), _NLMSG_DONE, 0, 0, port) + content


def parse(datagram: bytes) -> Message | None:
    """Return what a datagram reports; None for threads, other events, and what is no such message."""
    if len(datagram) < WHAT + _EVENT.size:
        return None
    what, _cpu, at, first, second, third, fourth = _EVENT.unpack_from(datagram, WHAT)
    if what == FORK:
        return Fork(at, parent=second, pid=third) if third == fourth else None
    if what == EXEC:
        return Exec(at, second)
    if what == EXIT:
        parent = 0
        if len(datagram) >= EXIT_PARENT_TGID + 4:
            _pid, parent = _EXIT_PARENT.unpack_from(datagram, EXIT_PARENT_TGID - 4)
        return Exit(at, parent, first, status=third) if first == second else None
    if what == NONE:
        acknowledged = _CONNECTOR_HEADER.unpack_from(datagram, _NETLINK_HEADER.size)[3]
        return Answer(acknowledged - 1, error=first)
    return None
