"""Real queues, made and changed through the C library, for what sysv_ipc does not do."""

import ctypes
import struct

import sysv_ipc

IPC_SET = 1
IPC_STAT = 2
_libc = ctypes.CDLL(None, use_errno=True)


def make(key: int | None, *messages: bytes, mode: int = 0o600) -> sysv_ipc.MessageQueue:
    """A new queue with these messages in it; key None is IPC_PRIVATE."""
    queue = sysv_ipc.MessageQueue(key if key is not None else sysv_ipc.IPC_PRIVATE, sysv_ipc.IPC_CREX, mode=mode)
    for message in messages:
        queue.send(message)
    return queue


def make_many(count: int, first_key: int = 0x10000) -> None:
    """That many empty queues."""
    for key in range(first_key, first_key + count):
        if _libc.msgget(ctypes.c_int(key), 0o1600) < 0:
            raise OSError(ctypes.get_errno(), "msgget")


def set_limit(msqid: int, qbytes: int) -> None:
    """msg_qbytes by IPC_SET, as an administrator would; struct msqid_ds of x86-64 and aarch64."""
    buffer = ctypes.create_string_buffer(256)
    assert _libc.msgctl(msqid, IPC_STAT, buffer) == 0
    struct.pack_into("=Q", buffer, 88, qbytes)
    assert _libc.msgctl(msqid, IPC_SET, buffer) == 0
