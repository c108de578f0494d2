"""The classic BPF program that keeps everybody else's processes from waking the reader."""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.process_events import messages

MOST_PIDS: Final = 600  # six instructions each, of the 4096 that a program may have

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS: a word of the packet
_TO_INDEX: Final = 0x07  # BPF_MISC | BPF_TAX
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_EQUAL_INDEX: Final = 0x1D  # BPF_JMP | BPF_JEQ | BPF_X
_JUMP: Final = 0x05  # BPF_JMP | BPF_JA
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_PASS: Final = 0xFFFFFFFF
_DROP: Final = 0


class Instruction(NamedTuple):
    """struct sock_filter; jumps are relative to the next instruction."""

    code: int
    if_true: int
    if_false: int
    operand: int


def build(parents: frozenset[int] | None) -> list[Instruction]:
    """Return the program: forks and exits of the children of `parents`, their own exits, and the kernel's answers.

    None: forks, executions and exits of all processes.

    An exit without a parent passes too: the kernel leaves the parent out if it was faster to collect the status.
    Threads never pass. Raises ValueError for more processes than MOST_PIDS.
    """
    pids = sorted(parents or ())
    if len(pids) > MOST_PIDS:
        raise ValueError(f"{len(pids)} processes are more than {MOST_PIDS}")
    fork = _equal(messages.FORK_CHILD_PID, messages.FORK_CHILD_TGID)
    end = _equal(messages.EXIT_PID, messages.EXIT_TGID)
    if parents is not None:
        fork += _any_of(messages.FORK_PARENT_TGID, pids)
        end += _any_of(messages.EXIT_PARENT_TGID, [0, *pids]) + _any_of(messages.EXIT_PID, pids)
    others = _PASS if parents is None else _DROP
    return [
        Instruction(_LOAD, 0, 0, messages.WHAT),
        *_if_event(messages.FORK, [*fork, _return(others)]),
        *_if_event(messages.EXEC, [_return(others)]),
        *_if_event(messages.EXIT, [*end, _return(others)]),
        *_if_event(messages.NONE, [_return(_PASS)]),
        _return(_DROP),
    ]


def encode(program: Sequence[Instruction]) -> bytes:
    """Return the program as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _if_event(what: int, then: list[Instruction]) -> list[Instruction]:
    """Run `then`, which returns, if the event is of that type; a conditional jump alone reaches 255 instructions."""
    return [Instruction(_IF_EQUAL, 1, 0, _swapped(what)), Instruction(_JUMP, 0, 0, len(then)), *then]


def _equal(one: int, other: int) -> list[Instruction]:
    """Drop the message unless the two fields are equal."""
    return [
        Instruction(_LOAD, 0, 0, one),
        Instruction(_TO_INDEX, 0, 0, 0),
        Instruction(_LOAD, 0, 0, other),
        Instruction(_IF_EQUAL_INDEX, 1, 0, 0),
        _return(_DROP),
    ]


def _any_of(field: int, pids: list[int]) -> list[Instruction]:
    """Pass the message if the field is one of the pids."""
    program = [Instruction(_LOAD, 0, 0, field)]
    for pid in pids:
        program += [Instruction(_IF_EQUAL, 0, 1, _swapped(pid)), _return(_PASS)]
    return program


def _return(verdict: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, verdict)


def _swapped(value: int) -> int:
    """Return the value as BPF loads it: big-endian, while the message has it in the machine's byte order."""
    return int.from_bytes(struct.pack("=I", value), "big")
