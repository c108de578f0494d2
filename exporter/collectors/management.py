"""Collector `management`: what each server's management interface answers, and how long that takes."""

import threading
from collections import Counter
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, get_args

from exporter.collectors.base import CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.management_families import families
from exporter.collectors.servers import ServerSet, WatchingCollector, forget_server
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.exposition.families import Metric
from exporter.openvpn.management import Reason
from exporter.probes.poller import Poller, PollResult

COMMANDS: Final = Metric(
    "openvpn_management_commands_total",
    "counter",
    "Commands that the exporter sent to the management interface.",
    ("server",),
)
FAILURES: Final = Metric(
    "openvpn_management_command_failures_total",
    "counter",
    "Polls of the management interface that got no proper answer. busy: no greeting within the time limit, because "
    "another client holds the interface (or the reason is unknown). timeout: OpenVPN was blocked, or fell silent in "
    "the middle. refused: nothing listens, no permission, or the connection was closed at once. auth: password wrong, "
    "missing or not readable. protocol: the answer is not OpenVPN's, or was cut off.",
    ("server", "reason"),
)
DURATION: Final = Metric(
    "openvpn_management_command_duration_seconds",
    "histogram",
    "The management command delay: from connecting to the management interface to the reply to load-stats, including "
    "the wait for OpenVPN's greeting. Polls without that reply are in openvpn_management_command_failures_total "
    "instead.",
    ("server",),
)

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 30, 60)
_MAX_PARALLEL: Final = 16  # servers that --once polls at the same time


class ManagementCollector(WatchingCollector[Poller]):
    """Serves what a poller per server has learned in the background; --once polls right now instead."""

    def __init__(self, config: Config, procfs: Path, *, once: bool) -> None:
        super().__init__(ServerSet(_relevant, self._poller), once=once)
        self._procfs = procfs
        self._commands = COMMANDS.counter()
        self._failures = FAILURES.counter()
        self._duration = DURATION.histogram(_BUCKETS)
        self._lock = threading.Lock()  # a poller that is dropped must not count any more
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Adopt the configuration; a server that is watched as before keeps its counters."""
        with self._lock:
            change = self._servers.update(config)
            for name in change.dropped:
                forget_server(name, self._commands, self._failures, self._duration)
            for name in change.added:
                self._commands.labels(name)
                self._duration.labels(name)
                for reason in get_args(Reason):
                    self._failures.labels(name, reason)
        records = Counter(server.hooks for server in config.servers)
        for server in config.servers:
            if server.name in self._servers.watchers:
                self._servers.watchers[server.name].shares_record = records[server.hooks] > 1
        self._servers.switch(change)

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return what the last polls learned. Never waits, except with --once."""
        pollers = self._servers.watchers
        if self._once:
            with ThreadPoolExecutor(_MAX_PARALLEL) as pool:
                list(pool.map(Poller.poll, pollers.values()))
        collected = [*self._counters(), *families(pollers, once=self._once)]
        if faults := self._servers.faults:
            raise PartialResultError("; ".join(faults), collected)
        return collected

    def _counters(self) -> Families:
        """Yield what was counted between scrapes; nothing with --once, which is a single poll."""
        if not self._once:
            for metric in (self._commands, self._failures, self._duration):
                yield from metric.collect()

    def _poller(self, server: OpenVpnServer) -> Poller:
        def count(result: PollResult) -> None:
            with self._lock:
                if self._servers.watchers.get(server.name) is poller:
                    self._count(server.name, result)

        poller = Poller(server, self._procfs, count)
        return poller

    def _count(self, name: str, result: PollResult) -> None:
        self._commands.labels(name).inc(result.commands)
        if result.delay is not None:
            self._duration.labels(name).observe(result.delay)
        if result.failure:
            self._failures.labels(name, result.failure).inc()


def _relevant(server: OpenVpnServer) -> Hashable:
    """Return what a poller depends on; None for a server without a management address."""
    if server.management is None:
        return None
    polled = server.management, server.management_password_file, server.management_interval, server.management_timeout
    return *polled, server.per_client, server.max_clients, server.hooks, server.status, server.status_interval


def _build(context: BuildContext) -> ManagementCollector | None:
    """Return None for --once if no server has a management address."""
    settings = context.settings
    collector = ManagementCollector(settings.config, settings.procfs, once=settings.once)
    return collector if collector.active or not settings.once else None


SPEC: Final = CollectorSpec("management", True, _build, "OpenVPN's management interface, polled in the background")
