"""The status update: one message on the queue, without ever waiting for room."""

import errno

import sysv_ipc

from exporter.hook.options import Key

_MSGMAX = "/proc/sys/kernel/msgmax"
_WRITE = 0o200  # all that msgget asks for: a queue may let its senders send and nothing else


def resolve(key: Key) -> int | None:
    """The key, unsigned; None where ftok fails, as its file is not there."""
    if isinstance(key, int):
        return key
    try:
        number: int = sysv_ipc.ftok(*key, silence_warning=True)
    except OSError:
        return None
    return number & 0xFFFFFFFF


def post(number: int, create: int | None, body: bytes, kind: int) -> str:
    """Send `body` as a message of type `kind`; returns sent, full, no_queue, too_big, denied or other."""
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
        if error.errno == errno.EINVAL:  # it has two meanings: over msgmax, or removed since it was opened
            with open(_MSGMAX, "rb") as file:
                return "too_big" if len(body) > int(file.read()) else "no_queue"
        # With --create: there are as many queues as kernel.msgmni allows, which sysv_ipc says without an errno.
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
    """msg_qbytes; infinite where this process may send and not read it."""
    try:
        limit: int = queue.max_size
    except sysv_ipc.PermissionsError:
        return float("inf")
    return limit
