"""The status update: one message to the queue, never waiting for room."""

import errno

import sysv_ipc

from exporter.hook.options import Key

_MSGMAX = "/proc/sys/kernel/msgmax"
_WRITE = 0o200  # all that msgget asks for: senders may have no other permission on the queue


def resolve(key: Key) -> int | None:
    """Return the key, unsigned; None if ftok fails because its file is missing."""
    if isinstance(key, int):
        return key
    try:
        number: int = sysv_ipc.ftok(*key, silence_warning=True)
    except OSError:
        return None
    return number & 0xFFFFFFFF


def post(number: int, create: int | None, body: bytes, kind: int) -> str:
    """Send `body` as a message of type `kind`; return sent, full, no_queue, too_big, denied or other."""
    try:
        queue = _open(number - (1 << 32) if number & 0x80000000 else number, create, len(body))
        queue.send(body, block=False, type=kind)
    except sysv_ipc.PermissionsError:
        return "denied"
    except sysv_ipc.ExistentialError:
        return "no_queue"
    except sysv_ipc.BusyError:
        return "too_big" if len(body) > _limit(queue) else "full"
    except OSError as error:
        if error.errno == errno.EINVAL:  # either over msgmax, or the queue was removed since it was opened
            with open(_MSGMAX, "rb") as file:
                return "too_big" if len(body) > int(file.read()) else "no_queue"
        # With --create: kernel.msgmni queues exist already, for which sysv_ipc gives no errno.
        return "no_queue" if error.errno is None else "other"
    return "sent"


def _open(key: int, create: int | None, size: int) -> sysv_ipc.MessageQueue:
    try:
        return sysv_ipc.MessageQueue(key, 0, _WRITE, max_message_size=size)
    except sysv_ipc.ExistentialError:
        if create is None:
            raise
        return sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREAT, create, max_message_size=size)


def _limit(queue: sysv_ipc.MessageQueue) -> float:
    """Return msg_qbytes; infinite if this process may send to the queue and not read its state."""
    try:
        limit: int = queue.max_size
    except sysv_ipc.PermissionsError:
        return float("inf")
    return limit
