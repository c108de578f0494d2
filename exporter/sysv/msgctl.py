"""Every queue by msgctl(2): MSG_INFO for the highest index, then MSG_STAT_ANY index by index (Linux 4.17+).

MSG_STAT_ANY needs no read permission on the queue, so an unprivileged reader sees queues of mode 0600 too, and it
returns msg_qbytes, the queue's own limit, which /proc/sysvipc/msg does not show.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Final, Literal, NamedTuple

from exporter.sysv.queues import NO_QUEUES, Queues

MSG_INFO: Final = 12
MSG_STAT_ANY: Final = 13

# struct msqid64_ds of include/uapi/asm-generic/{ipcbuf,msgbuf}.h, which 64-bit x86-64 and aarch64 both use: key uid gid
# cuid cgid mode of 4 bytes each, seq, pad, 2 x 8 unused; stime rtime ctime cbytes qnum qbytes of 8 bytes each; lspid
# lrpid of 4 each; 2 x 8 unused.
_SIZE: Final = 120
_PLACES: Final[
    Mapping[str, tuple[int, Literal["I", "Q"]]]
] = {  # of each field: bytes from the struct's start, and its type
    "key": (0, "I"),
    "uid": (4, "I"),
    "gid": (8, "I"),
    "cuid": (12, "I"),
    "mode": (20, "I"),  # of a queue, the kernel stores nothing but the permission bits here
    "stime": (48, "Q"),
    "rtime": (56, "Q"),
    "ctime": (64, "Q"),
    "cbytes": (72, "Q"),
    "qnum": (80, "Q"),
    "qbytes": (88, "Q"),
    "lspid": (96, "I"),
    "lrpid": (100, "I"),
}
_KNOWN_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_BATCH: Final = 4096  # structs per buffer: half a megabyte

MsgCtl = Callable[[int, int, object], int]  # the object is what ctypes.byref returns


class Walk(NamedTuple):
    """The result of one walk over all indices."""

    queues: Queues
    refusal: str | None  # why some or all queues may be missing; None: all are there


def system_msgctl(machine: str = os.uname().machine) -> MsgCtl | str:
    """Return the C library's msgctl(msqid, cmd, reference), or the reason why its answers are not understood."""
    if machine not in _KNOWN_MACHINES or struct.calcsize("P") != 8:
        return f"the layout of struct msqid_ds on {machine} is not known"
    # PyDLL keeps the interpreter lock: the call takes half a microsecond and never sleeps, while handing the lock
    # over and back for each of thousands of queues would let every other thread in between.
    function = ctypes.PyDLL(None, use_errno=True).msgctl
    function.restype = ctypes.c_int
    # No argtypes: converting by them takes as long as the call. An int is passed as a C int anyway, a reference as a
    # pointer.
    call: MsgCtl = function
    return call


class Walker:
    """Reads every queue, walk by walk. Any thread may walk."""

    def __init__(self, msgctl: MsgCtl) -> None:
        self._msgctl = msgctl
        self._last = _Cut(bytearray(), {}, NO_QUEUES)
        self._is_known = False  # whether the kernel has ever answered MSG_STAT_ANY

    def walk(self) -> Walk:
        """Read every queue. A queue that vanishes meanwhile is left out; one that appears may be in it or not.

        A column that has not changed since the last walk is the same object again, so whoever compares it with the last
        one is done at once.
        """
        # struct msginfo: msgpool msgmap msgmax msgmnb msgmni msgssz msgtql (7 x 4), msgseg (2). In MSG_INFO's answer
        # msgpool is the number of queues in use.
        info = ctypes.create_string_buffer(64)
        highest = self._msgctl(0, MSG_INFO, ctypes.byref(info))
        if highest < 0:
            return Walk(NO_QUEUES, f"msgctl(MSG_INFO) is refused: {os.strerror(ctypes.get_errno())}")
        in_use = int.from_bytes(info.raw[:4], "little", signed=True)

        buffer = ctypes.create_string_buffer(_SIZE * min(_BATCH, highest + 1))
        slots = [ctypes.byref(buffer, offset) for offset in range(0, len(buffer), _SIZE)]
        msqids: list[int] = []  # by index; -1: there is no queue
        structs = bytearray(_SIZE * (highest + 1))
        for start in range(0, highest + 1, _BATCH):
            indices = range(start, min(start + _BATCH, highest + 1))
            msqids += map(self._msgctl, indices, repeat(MSG_STAT_ANY), slots)
            size = _SIZE * len(indices)
            structs[_SIZE * start : _SIZE * start + size] = memoryview(buffer).cast("B")[:size]
        self._last = last = _cut(msqids, structs, self._last)
        queues = last.queues
        self._is_known = self._is_known or bool(queues.msqid)
        if len(queues.msqid) >= in_use:
            return Walk(queues, None)
        absent = [index for index, msqid in enumerate(msqids) if msqid < 0]
        return Walk(queues, _why_absent(self._msgctl, absent, slots[0], is_known=self._is_known))


def _why_absent(msgctl: MsgCtl, indices: list[int], struct_ref: object, *, is_known: bool) -> str | None:
    """Ask again for queues that should be there and gave none, now looking at each errno."""
    for index in indices:
        if msgctl(index, MSG_STAT_ANY, struct_ref) < 0:
            error = ctypes.get_errno()
            if error not in (errno.EINVAL, errno.EIDRM):  # these two: no queue at this index, or no longer
                return f"msgctl(MSG_STAT_ANY) is refused: {os.strerror(error)}"
    if not is_known:
        # Before 4.17 an unknown command looks just like an index without a queue.
        return "msgctl(MSG_STAT_ANY) is not known to this kernel (it came with Linux 4.17)"
    return None  # queues were removed while we read


class _Cut(NamedTuple):
    """What is kept of the last walk; replaced as a whole, as several threads may walk at once."""

    structs: bytearray
    raw: Mapping[str, bytes]  # each column as the kernel wrote it
    queues: Queues


def _cut(msqids: list[int], structs: bytearray, last: _Cut) -> _Cut:
    """Cut columns out of an array with a struct msqid_ds per msqid; where that is -1, there is no queue."""
    if -1 in msqids:
        there = [index for index, msqid in enumerate(msqids) if msqid >= 0]
        structs = bytearray().join(structs[_SIZE * index : _SIZE * (index + 1)] for index in there)
        msqids = [msqids[index] for index in there]
    if msqids == last.queues.msqid and structs == last.structs:
        return last
    raw = {name: _column(structs, *place).tobytes() for name, place in _PLACES.items()}
    columns = {
        name: getattr(last.queues, name) if raw[name] == last.raw.get(name) else _column(structs, *place).tolist()
        for name, place in _PLACES.items()
    }
    if msqids == last.queues.msqid:
        msqids = last.queues.msqid
    return _Cut(structs, raw, Queues(msqid=msqids, **columns))


def _column(structs: bytearray, offset: int, kind: Literal["I", "Q"]) -> memoryview:
    size = struct.calcsize(kind)
    return memoryview(structs).cast(kind)[offset // size :: _SIZE // size]
