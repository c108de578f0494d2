"""Collector `status`: whether each server's status file is there, complete and fresh, and the clients in it."""

from collections.abc import Hashable, Mapping
from typing import Final, get_args

from exporter.collectors.base import CONNECTED_CLIENTS, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.servers import ServerSet, WatchingCollector
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.exposition.families import Metric
from exporter.probes.statuswatcher import StatusState, StatusWatcher

_READ: Final = "Read in the background, a quarter of status_interval (at most 15 s) before the scrape at the latest."

UPDATE_TIME: Final = Metric(
    "openvpn_status_update_time_seconds",
    "gauge",
    "The time inside the status file (TIME, or Updated in version 1): when OpenVPN last wrote it. Not its mtime. "
    f"{_READ}",
    ("server",),
)
STATE: Final = Metric(
    "openvpn_status_state",
    "gauge",
    "The state of the status file: 1 for the one it is in. ok; stale: its time has not changed for status_interval and "
    "half of that (at least 2 s); torn: it ends before its END; empty: as on a full disk; missing; unreadable: no "
    f"permission, not a status file, or a file system that does not answer. {_READ}",
    ("server", "state"),
)
MISSED: Final = Metric(
    "openvpn_status_updates_missed_total",
    "counter",
    f"Intervals of status_interval that passed without a new time in the status file. {_READ}",
    ("server",),
)

_STATES: Final[tuple[StatusState, ...]] = get_args(StatusState)


class StatusCollector(WatchingCollector[StatusWatcher]):
    """Serves what a watcher per file has found in the background; --once looks right now instead."""

    def __init__(self, config: Config, *, once: bool) -> None:
        super().__init__(ServerSet(_relevant, StatusWatcher), once=once)
        self._counts_clients: frozenset[str] = frozenset()  # servers that have no management address
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Adopt the configuration; a server that is watched as before keeps its counters."""
        self._counts_clients = frozenset(server.name for server in config.servers if server.management is None)
        self._servers.switch(self._servers.update(config))

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return what the watchers found. Raise PartialResultError if a file cannot be read."""
        watchers = self._servers.watchers
        if self._once:
            for watcher in watchers.values():
                watcher.look()
        families = list(self._families(watchers))
        if faults := self._servers.faults:
            raise PartialResultError("; ".join(faults), families)
        return families

    def _families(self, watchers: Mapping[str, StatusWatcher]) -> Families:
        found = {name: reading for name, watcher in watchers.items() if (reading := watcher.reading)}
        yield UPDATE_TIME.by_label({name: reading.time for name, reading in found.items()})
        yield STATE.family(
            [int(reading.state == state) for reading in found.values() for state in _STATES],
            [name for name in found for _ in _STATES],
            [*_STATES] * len(found),
        )
        if not self._once:
            yield MISSED.by_label({name: reading.missed for name, reading in found.items()})
        yield CONNECTED_CLIENTS.by_label(
            {name: reading.clients for name, reading in found.items() if name in self._counts_clients}
        )


def _relevant(server: OpenVpnServer) -> Hashable:
    """Return what a watcher depends on; None for a server without a status file."""
    return None if server.status is None else (server.status, server.status_interval)


def _build(context: BuildContext) -> StatusCollector | None:
    """Return None for --once if no server has a status file."""
    settings = context.settings
    collector = StatusCollector(settings.config, once=settings.once)
    return collector if collector.active or not settings.once else None


SPEC: Final = CollectorSpec("status", True, _build, "OpenVPN's status files: their freshness, and the clients in them")
