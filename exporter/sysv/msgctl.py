"""Every queue by msgctl(2): MSG_INFO for the highest index, then MSG_STAT_ANY index by index (Linux 4.17+).

MSG_STAT_ANY needs no read permission on the queue, so an unprivileged reader sees queues of mode 0600 too, and it
tells msg_qbytes, the queue's own limit, which /proc/sysvipc/msg does not.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.sysv.rows import QueueRow

MSG_INFO: Final = 12
MSG_STAT_ANY: Final = 13

# struct msqid64_ds of include/uapi/asm-generic/{ipcbuf,msgbuf}.h, which 64-bit x86-64 and aarch64 both use:
# key uid gid cuid cgid mode (6 x 4), seq pad (2 x 2), 4 bytes to align, 2 x 8 unused; stime rtime ctime cbytes qnum
# qbytes (6 x 8); lspid lrpid (2 x 4); 2 x 8 unused.
_DS: Final = struct.Struct("=iIIIII2H4x16x6Q2i16x")
_KNOWN_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_BATCH: Final = 1024  # structs a buffer: bounds memory at 32,000 queues

MsgCtl = Callable[[int, int, int], int]


class Walk(NamedTuple):
    """What one walk over all indices gave."""

    rows: list[QueueRow]
    refusal: str | None  # why some or all queues may be missing from rows; None: all are there


def system_msgctl() -> MsgCtl | str:
    """The C library's msgctl(msqid, cmd, buffer address), or the reason why its answers could not be understood."""
    machine = platform.machine()
    if machine not in _KNOWN_MACHINES or struct.calcsize("P") != 8:
        return f"the layout of struct msqid_ds on {machine} is not known"
    # PyDLL keeps the interpreter lock: the call takes half a microsecond and never sleeps, while handing the lock
    # over and back for each of thousands of queues would double a scrape.
    function = ctypes.PyDLL(None, use_errno=True).msgctl
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    function.restype = ctypes.c_int
    call: MsgCtl = function
    return call


def walk(msgctl: MsgCtl) -> Walk:
    """Read every queue. A queue that vanishes meanwhile is left out; one that appears may be in it or not."""
    size = _DS.size
    # struct msginfo: msgpool msgmap msgmax msgmnb msgmni msgssz msgtql (7 x 4), msgseg (2). In MSG_INFO's answer
    # msgpool is the number of queues in use.
    info = ctypes.create_string_buffer(64)
    highest = msgctl(0, MSG_INFO, ctypes.addressof(info))
    if highest < 0:
        return Walk([], f"msgctl(MSG_INFO) is refused: {os.strerror(ctypes.get_errno())}")
    in_use = int.from_bytes(info.raw[:4], "little", signed=True)

    buffer = ctypes.create_string_buffer(size * _BATCH)
    address = ctypes.addressof(buffer)
    rows: list[QueueRow] = []
    refused = 0
    for start in range(0, highest + 1, _BATCH):
        msqids: list[int] = []
        place = address
        for index in range(start, min(start + _BATCH, highest + 1)):
            msqid = msgctl(index, MSG_STAT_ANY, place)
            if msqid >= 0:
                msqids.append(msqid)
                place += size
            else:
                error = ctypes.get_errno()
                if error not in (
                    errno.EINVAL,
                    errno.EIDRM,
                ):  # these two: no queue at this index, or no longer
                    refused = error
        rows += _unpack(msqids, memoryview(buffer)[: size * len(msqids)])
    if refused:
        return Walk(rows, f"msgctl(MSG_STAT_ANY) is refused: {os.strerror(refused)}")
    if in_use > 0 and not rows:
        # Before 4.17 an unknown command looks just like an index without a queue.
        return Walk([], "msgctl(MSG_STAT_ANY) is not known to this kernel (it came with Linux 4.17)")
    return Walk(rows, None)


def _unpack(msqids: list[int], structs: memoryview) -> list[QueueRow]:
    return [
        QueueRow(key, msqid, mode & 0o777, cbytes, qnum, lspid, lrpid, uid, gid, cuid, stime, rtime, ctime, qbytes)
        for msqid, (
            key, uid, gid, cuid, _, mode, _, _, stime, rtime, ctime, cbytes, qnum, qbytes, lspid, lrpid,
        ) in zip(msqids, _DS.iter_unpack(structs), strict=True)
    ]  # fmt: skip  # one field a line would hide the layout
