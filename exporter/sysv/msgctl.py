"""Every queue by msgctl(2): MSG_INFO for the highest index, then MSG_STAT_ANY index by index (Linux 4.17+).

MSG_STAT_ANY needs no read permission on the queue, so an unprivileged reader sees queues of mode 0600 too, and it
returns msg_qbytes, the queue's own limit, which /proc/sysvipc/msg does not show.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from itertools import compress, repeat
from typing import Final, NamedTuple

from exporter.sysv.queues import NO_QUEUES, Queues

MSG_INFO: Final = 12
MSG_STAT_ANY: Final = 13

# struct msqid64_ds of include/uapi/asm-generic/{ipcbuf,msgbuf}.h, which 64-bit x86-64 and aarch64 both use, as
# 30 words of 4 bytes: key uid gid cuid cgid mode, seq, pad, 2 x 8 unused; stime rtime ctime cbytes qnum qbytes of
# 8 bytes each; lspid lrpid of 4 each; 2 x 8 unused.
_SIZE: Final = 120
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
        self._last: tuple[list[int], bytearray, Queues] = ([], bytearray(), NO_QUEUES)

    def walk(self) -> Walk:
        """Read every queue. A queue that vanishes meanwhile is left out; one that appears may be in it or not.

        If nothing has changed since the last walk, the queues are the same object, so whoever compares them with the
        last ones is done at once.
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
        queues = self._cut(msqids, structs)
        if len(queues.msqid) >= in_use:
            return Walk(queues, None)
        absent = [index for index, msqid in enumerate(msqids) if msqid < 0]
        return Walk(queues, _why_absent(self._msgctl, absent, slots[0], nothing_found=not queues.msqid))

    def _cut(self, msqids: list[int], structs: bytearray) -> Queues:
        last_msqids, last_structs, queues = self._last
        if structs != last_structs or msqids != last_msqids:
            queues = _cut(msqids, memoryview(structs))
            if -1 in msqids:
                there = [msqid >= 0 for msqid in msqids]
                queues = Queues(*(list(compress(column, there)) for column in queues))
            self._last = msqids, structs, queues
        return queues


def _why_absent(msgctl: MsgCtl, indices: list[int], struct_ref: object, *, nothing_found: bool) -> str | None:
    """Ask again for queues that should be there and gave none, now looking at each errno."""
    for index in indices:
        if msgctl(index, MSG_STAT_ANY, struct_ref) < 0:
            error = ctypes.get_errno()
            if error not in (errno.EINVAL, errno.EIDRM):  # these two: no queue at this index, or no longer
                return f"msgctl(MSG_STAT_ANY) is refused: {os.strerror(error)}"
    if nothing_found:
        # Before 4.17 an unknown command looks just like an index without a queue.
        return "msgctl(MSG_STAT_ANY) is not known to this kernel (it came with Linux 4.17)"
    return None  # queues were removed while we read


def _cut(msqids: list[int], structs: memoryview) -> Queues:
    """Columns out of an array of struct msqid_ds: every 30th word of 4 bytes, every 15th of 8."""
    word = structs.cast("I")
    long = structs.cast("Q")
    return Queues(
        key=word[0::30].tolist(),
        msqid=msqids,
        mode=[bits & 0o777 for bits in word[5::30]],
        cbytes=long[9::15].tolist(),
        qnum=long[10::15].tolist(),
        lspid=word[24::30].tolist(),
        lrpid=word[25::30].tolist(),
        uid=word[1::30].tolist(),
        gid=word[2::30].tolist(),
        cuid=word[3::30].tolist(),
        stime=long[6::15].tolist(),
        rtime=long[7::15].tolist(),
        ctime=long[8::15].tolist(),
        qbytes=long[11::15].tolist(),
    )
