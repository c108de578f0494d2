"""Where the counts of sleeping threads come from: a scan of this process's own, or a helper that may do more.

Reading other users' threads takes two capabilities which together lead out of any narrow view of the file system. So
on a hardened host a helper of its own has them, and hands out nothing but counts per msqid over a unix socket.
"""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from exporter.procfs import own_ipc_namespace
from exporter.sysv.sleepers import DeniedError, Sleepers, SystemCalls, scan

MAX_SHARE: Final = 0.01  # of a core, for scanning
_HELPER_WITHIN: Final = 2.0  # seconds; a scan of ten thousand threads takes a tenth of one
_MAX_REPLY: Final = 4 * 1024 * 1024
_NO_COUNTS: Final = "openvpn-mq-waiters sends something that is not a count of threads"


class SleeperSource(Protocol):
    """Something that counts threads asleep in msgsnd and msgrcv."""

    def read(self) -> Sleepers:
        """Return the counts as of now, or of a moment ago. Raise DeniedError or OSError."""


class LimitedScan:
    """Scans /proc when asked, but no more often than its share of a core allows; in between, the last counts serve."""

    def __init__(
        self,
        procfs: Path,
        calls: SystemCalls,
        clock: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._procfs = procfs
        self._calls = calls
        self._clock = clock
        self._cpu_time = cpu_time
        self._last = Sleepers(Counter(), Counter())
        self._not_before = 0.0

    def read(self) -> Sleepers:
        """Scan, or return the counts of the last scan."""
        if self._clock() >= self._not_before:
            before = self._cpu_time()
            self._last = scan(self._procfs, self._calls)
            self._not_before = self._clock() + (self._cpu_time() - before) / MAX_SHARE
        return self._last


class HelperSource:
    """Asks openvpn-mq-waiters over its unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Sleepers:
        """Return what the helper counts now. Raise DeniedError if it may not, or counts in another IPC namespace."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_HELPER_WITHIN)
            try:
                connection.connect(str(self._path))
                reply = _read_all(connection)
            except TimeoutError:
                raise DeniedError(f"openvpn-mq-waiters does not answer on {self._path}") from None
            except OSError as error:
                raise DeniedError(f"cannot ask openvpn-mq-waiters on {self._path}: {error.strerror or error}") from None
        return decode(reply, own_ipc_namespace())


def encode(sleepers: Sleepers, namespace: int) -> bytes:
    """Write counts as the helper sends them; `namespace` is the inode of the IPC namespace they belong to."""
    reply = {"ipc_namespace": namespace, "senders": sleepers.senders, "receivers": sleepers.receivers}
    return json.dumps(reply).encode()


def encode_denial(sentence: str) -> bytes:
    """Write why there are no counts."""
    return json.dumps({"denied": sentence}).encode()


def decode(reply: bytes, namespace: int) -> Sleepers:
    """Read what the helper sent. Raise DeniedError if it has no counts for this IPC namespace."""
    try:
        fields = json.loads(reply)
        if "denied" in fields:
            raise DeniedError(f"openvpn-mq-waiters: {fields['denied']}")
        if fields["ipc_namespace"] != namespace:
            raise DeniedError(
                f"openvpn-mq-waiters counts IPC namespace {fields['ipc_namespace']}, the exporter is in {namespace}: "
                "run both in the same"
            )
        senders, receivers = (
            Counter({int(msqid): int(count) for msqid, count in fields[kind].items()})
            for kind in ("senders", "receivers")
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DeniedError(_NO_COUNTS) from None
    return Sleepers(senders, receivers)


def _read_all(connection: socket.socket) -> bytes:
    reply = b""
    deadline = time.monotonic() + _HELPER_WITHIN
    while chunk := connection.recv(65536):
        reply += chunk
        if len(reply) > _MAX_REPLY:
            raise DeniedError(_NO_COUNTS)
        if time.monotonic() > deadline:
            raise TimeoutError
    return reply
