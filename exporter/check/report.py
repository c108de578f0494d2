"""What one look at the host saw, and what is to be said of it."""

from __future__ import annotations  # see below

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from exporter.sysv.queues import Queue
from exporter.sysv.sysctl import Limits, Recommended

if TYPE_CHECKING:  # a third of the program's time, on a host where no OpenVPN runs
    from exporter.discovery.access import Access
    from exporter.discovery.expiry import Expiry
    from exporter.discovery.instance import Instance


class Level(IntEnum):
    """The exit status, as monitoring plugins have it."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Program(NamedTuple):
    """The last sender or receiver of a queue; `name` is None if there is no such process any more."""

    pid: int
    name: str | None


class Named(NamedTuple):
    """What a queue is called: by the exporter, and by ipcs and ipcrm."""

    label: str
    key: int
    msqid: int


class OldLimit(NamedTuple):
    """Queues whose limit is lower than kernel.msgmnb."""

    limit: int  # bytes
    total: int
    first: tuple[Named, ...]  # of them


class QueueState(NamedTuple):
    """One queue with what is known around it."""

    label: str
    queue: Queue
    owner: str
    fill: float | None  # 1.0 = full; None: its limit is not known
    sender: Program | None  # None: nobody has ever sent
    receiver: Program | None
    blocked_senders: int | None  # None: threads cannot be looked at
    waiting_receivers: int | None


class OpenVpn(NamedTuple):
    """The instances that run, and how a user fares with their files."""

    user: str = ""  # whose rights were tried
    as_service: bool = False  # in the place of the exporter that runs as that user, with its capabilities and its view
    instances: tuple[Instance, ...] = ()
    accesses: Mapping[str, tuple[Access, ...]] = {}
    expiries: tuple[Expiry, ...] = ()
    remedies: Mapping[str, tuple[str, ...]] = {}  # by instance: the commands that let the user read what it cannot
    hidden: str | None = None  # why there may be more instances


class Seen(NamedTuple):
    """One look. `queues` are the fullest ones, in the kernel's order."""

    time: float  # Unix seconds
    queues: tuple[QueueState, ...]
    also_full: int  # queues beyond those that are full or nearly so
    old_limits: tuple[OldLimit, ...]
    total: int
    unreadable: str | None  # why the queues could not be read
    waiters_unknown: str | None  # why nobody knows who waits
    limits: Limits | None
    recommended: Recommended | None
    profile: str
    openvpn: OpenVpn


class Finding(NamedTuple):
    """One thing that is not as it should be: a sentence, and the commands that help."""

    level: Level
    text: str
    commands: tuple[str, ...] = ()


class Report(NamedTuple):
    """All of it."""

    seen: Seen
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst of all; unknown is worse than a warning, as something worse may be behind it."""
        order = [Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL]
        return max((finding.level for finding in self.findings), key=order.index, default=Level.OK)
