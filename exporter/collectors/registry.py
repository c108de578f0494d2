"""The table that registers the collectors."""

from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.collectors import hooks, limits, log, management, queues, status, trace, waiters
from exporter.collectors.base import Collector
from exporter.collectors.context import BuildContext


class CollectorSpec(NamedTuple):
    """A row of the table."""

    name: str  # of --collector.NAME and of the label `collector`
    default: bool
    build: Callable[[BuildContext], Collector | None]  # None: the settings give it nothing to read
    summary: str  # for --help


COLLECTORS: Final = (
    CollectorSpec("queues", True, queues.build, "System V message queues, from msgctl"),
    CollectorSpec("limits", True, limits.build, "sysctls kernel.msgmnb, msgmax, msgmni, and what is recommended"),
    CollectorSpec(
        "log", True, log.build, "script failures and drops, from OpenVPN's log or journal, where one is configured"
    ),
    CollectorSpec("hooks", True, hooks.build, "scripts that openvpn-mq-hook runs, where a server has a record"),
    CollectorSpec("management", True, management.build, "OpenVPN's management interface, polled in the background"),
    CollectorSpec("status", True, status.build, "OpenVPN's status files: their freshness, and the clients in them"),
    CollectorSpec("waiters", True, waiters.build, "threads asleep in msgsnd and msgrcv, from /proc"),
    CollectorSpec(
        "trace", False, trace.build, "what msgsnd and msgrcv did, counted in the kernel; needs bpftrace and root"
    ),
)


def build_all(context: BuildContext) -> dict[str, Collector]:
    """The collectors that are switched on and have something to read, by name, in the table's order."""
    settings = context.settings
    built = {}
    for spec in COLLECTORS:
        default = spec.default and settings.collector_defaults
        if settings.collectors.get(spec.name, default):
            collector = spec.build(context)
            if collector is not None:
                built[spec.name] = collector
    return built
