"""The collectors, one a file, and the table that registers them."""

from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.collector import Collector
from exporter.collectors import hooks, limits, log, management, queues, status, trace, waiters
from exporter.sources import Sources


class Entry(NamedTuple):
    """A row of the table."""

    name: str  # of --collector.NAME and of the label `collector`
    default: bool
    build: Callable[[Sources], Collector | None]  # None: the settings give it nothing to read
    summary: str  # for --help


TABLE: Final = (
    Entry("queues", True, queues.build, "System V message queues, from msgctl"),
    Entry("limits", True, limits.build, "sysctls kernel.msgmnb, msgmax, msgmni, and what is recommended"),
    Entry("log", True, log.build, "script failures and drops, from OpenVPN's log or journal, where one is configured"),
    Entry("hooks", True, hooks.build, "scripts that openvpn-mq-hook runs, where a server has a record"),
    Entry("management", True, management.build, "OpenVPN's management interface, polled in the background"),
    Entry("status", True, status.build, "OpenVPN's status files: their freshness, and the clients in them"),
    Entry("waiters", True, waiters.build, "threads asleep in msgsnd and msgrcv, from /proc"),
    Entry("trace", False, trace.build, "what msgsnd and msgrcv did, counted in the kernel; needs bpftrace and root"),
)


def build_all(sources: Sources) -> dict[str, Collector]:
    """The collectors that are switched on and have something to read, by name, in the table's order."""
    settings = sources.settings
    built = {}
    for entry in TABLE:
        default = entry.default and settings.collector_defaults
        if settings.collectors.get(entry.name, default):
            collector = entry.build(sources)
            if collector is not None:
                built[entry.name] = collector
    return built
