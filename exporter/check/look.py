"""Look at the host once, through the same readers as the exporter."""

from __future__ import annotations  # what is only imported for type checkers takes time

import time
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.check.report import Named, OldLimit, OpenVpn, Program, QueueState, Seen
from exporter.discovery.processes import HiddenError, find_processes
from exporter.sysv.fill import fills, fullest
from exporter.sysv.ids import user_name
from exporter.sysv.names import QueueNames, labels
from exporter.sysv.queues import NO_QUEUES, UNKNOWN_LIMIT, MalformedError, Queue, Queues
from exporter.sysv.reader import QueueReader
from exporter.sysv.sleepers import DeniedError, Sleepers, scan, system_calls
from exporter.sysv.sysctl import PROFILES, Limits, read_limits

if TYPE_CHECKING:
    from exporter.check.openvpn import OpenVpnLooker
    from exporter.config.model import Config

SHOWN: Final = 20  # queues, if not all are asked for

_EXAMPLES: Final = 5  # of queues with an old limit


class Looker:
    """What stays the same from look to look."""

    def __init__(self, procfs: Path, config: Config | None, user: str | None, profile: str) -> None:
        """`user`: whose rights to try; None: the exporter's user."""
        self._procfs = procfs
        self._reader = QueueReader(procfs)
        self._names = QueueNames(config.queue_names if config else ())
        self._config = config
        self._user = user
        self._profile = profile
        self._openvpn_looker: OpenVpnLooker | None = None

    def look(self, shown: int, worth_telling: float) -> Seen:
        """Look; `shown`: how many queues, the fullest; others are counted if their fill is `worth_telling` or more."""
        queues, unreadable = NO_QUEUES, None
        try:
            queues = self._reader.read()
        except (OSError, MalformedError) as error:
            unreadable = str(error)
        limits = _limits(self._procfs)
        names = self._names.by_key()
        shares = fills(queues)
        sleepers, waiters_unknown = self._sleepers(queues)
        indices: Sequence[int] = range(len(shares))
        if shown < len(shares):
            blocked: AbstractSet[int] = sleepers.senders.keys() if sleepers else set()
            indices = fullest(queues, queues.msqid, blocked, shown)
        few = queues.select(indices)
        few_names = labels(few.key, few.msqid, names)
        few_shares = [shares[index] for index in indices]
        return Seen(
            time.time(),
            tuple(map(partial(self._state, sleepers), few.rows(), few_names, few_shares)),
            sum(map(worth_telling.__le__, shares)) - sum(map(worth_telling.__le__, few_shares)),
            _old_limits(queues, names, limits),
            len(shares),
            unreadable,
            waiters_unknown,
            limits,
            PROFILES[self._profile],
            self._profile,
            self._openvpn(),
        )

    def _state(self, sleepers: Sleepers | None, queue: Queue, name: str, share: float) -> QueueState:
        return QueueState(
            name,
            queue,
            user_name(queue.uid),
            None if queue.qbytes == UNKNOWN_LIMIT else share if queue.qbytes else 1.0,
            _program(self._procfs, queue.lspid),
            _program(self._procfs, queue.lrpid),
            sleepers.senders.get(queue.msqid, 0) if sleepers else None,
            sleepers.receivers.get(queue.msqid, 0) if sleepers else None,
        )

    def _openvpn(self) -> OpenVpn:
        """Look at OpenVPN, if one runs: what that takes is only then imported."""
        try:
            if not find_processes(self._procfs):
                return OpenVpn()
        except HiddenError as error:
            return OpenVpn(hidden=str(error))
        if self._openvpn_looker is None:
            from exporter.check.openvpn import OpenVpnLooker  # noqa: PLC0415  # takes time

            self._openvpn_looker = OpenVpnLooker(self._procfs, self._config, self._user)
        return self._openvpn_looker.look()

    def _sleepers(self, queues: Queues) -> tuple[Sleepers | None, str | None]:
        calls = system_calls()
        if not queues.msqid or calls is None:
            return None, None if calls else "the system calls of this machine are not known"
        try:
            return scan(self._procfs, calls), None
        except (DeniedError, OSError) as error:
            return None, str(error)


def _old_limits(queues: Queues, names: dict[int, str], limits: Limits | None) -> tuple[OldLimit, ...]:
    """Return the queues that have less than a new queue would get."""
    if limits is None:
        return ()
    counts = Counter(queues.qbytes)
    low = sorted(limit for limit in counts if UNKNOWN_LIMIT != limit < limits.msgmnb)
    return tuple(OldLimit(limit, counts[limit], _first(queues, names, limit)) for limit in low)


def _first(queues: Queues, names: dict[int, str], limit: int) -> tuple[Named, ...]:
    indices = list(islice((index for index, qbytes in enumerate(queues.qbytes) if qbytes == limit), _EXAMPLES))
    few = queues.select(indices)
    return tuple(map(Named, labels(few.key, few.msqid, names), few.key, few.msqid))


def _limits(procfs: Path) -> Limits | None:
    try:
        return read_limits(procfs)
    except (OSError, ValueError):
        return None


def _program(procfs: Path, pid: int) -> Program | None:
    if pid == 0:
        return None
    try:
        return Program(pid, (procfs / str(pid) / "comm").read_text(errors="replace").rstrip("\n"))
    except OSError:
        return Program(pid, None)
