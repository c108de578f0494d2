"""Collector `management`: what each server's management interface answers, and how long that takes."""

import threading
from collections import Counter
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, get_args

from exporter.collectors.base import CONNECTED_CLIENTS, Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.servers import ServerSet, forget_server
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.exposition.families import Family, Kind, Metric
from exporter.openvpn.management import Reason
from exporter.probes.poller import Poller, PollResult, ServerState


def _metric(name: str, kind: Kind, help_text: str, *labels: str) -> Metric:
    return Metric(name, kind, help_text, ("server", *labels))


UP: Final = _metric(
    "openvpn_management_up", "gauge", "1 if the last poll of the management interface was answered, else 0."
)
COMMANDS: Final = _metric(
    "openvpn_management_commands_total", "counter", "Commands that the exporter sent to the management interface."
)
FAILURES: Final = _metric(
    "openvpn_management_command_failures_total",
    "counter",
    "Polls of the management interface that got no proper answer. busy: no greeting within the time limit, because "
    "another client holds the interface (or the reason is unknown). timeout: OpenVPN was blocked, or fell silent in "
    "the middle. refused: nothing listens, no permission, or the connection was closed at once. auth: password wrong, "
    "missing or not readable. protocol: the answer is not OpenVPN's, or was cut off.",
    "reason",
)
DURATION: Final = _metric(
    "openvpn_management_command_duration_seconds",
    "histogram",
    "The management command delay: from connecting to the management interface to the reply to load-stats, including "
    "the wait for OpenVPN's greeting. Polls without that reply are in openvpn_management_command_failures_total "
    "instead.",
)
PENDING: Final = _metric(
    "openvpn_management_command_pending_seconds",
    "gauge",
    "Age of the poll that is waiting for the management interface now; 0 if there is none.",
)
LAST_REPLY: Final = _metric(
    "openvpn_management_last_reply_timestamp_seconds",
    "gauge",
    "Time of the last reply to load-stats; absent before the first.",
)
RECEIVED: Final = _metric(
    "openvpn_server_received_bytes_total", "counter", "bytesin of load-stats; absent if the last poll got no answer."
)
SENT: Final = _metric(
    "openvpn_server_sent_bytes_total", "counter", "bytesout of load-stats; absent if the last poll got no answer."
)
INFO: Final = _metric(
    "openvpn_server_info", "gauge", "OpenVPN's version, from the management command version; always 1.", "version"
)
VERBOSITY: Final = _metric(
    "openvpn_log_verbosity", "gauge", "--verb, from the management command verb, asked every five minutes."
)
MUTE: Final = _metric(
    "openvpn_log_mute",
    "gauge",
    "--mute, from the management command mute, asked every five minutes; 0 = no line is left out of the log.",
)
CLIENT_RECEIVED: Final = _metric(
    "openvpn_server_client_received_bytes_total",
    "counter",
    "Bytes Received of CLIENT_LIST in status 3 since the exporter's first poll, summed over the connections of the "
    "common name, ended ones too. What a connection moved between its last poll and its end is missing.",
    "common_name",
)
CLIENT_SENT: Final = _metric(
    "openvpn_server_client_sent_bytes_total",
    "counter",
    "Bytes Sent of CLIENT_LIST in status 3 since the exporter's first poll, summed over the connections of the "
    "common name, ended ones too. What a connection moved between its last poll and its end is missing.",
    "common_name",
)
CLIENT_CONNECTIONS: Final = _metric(
    "openvpn_server_client_connections",
    "gauge",
    "Connections of the common name in CLIENT_LIST of status 3, as of the last poll; absent if that got no answer.",
    "common_name",
)

NAMES_OMITTED: Final = _metric(
    "openvpn_server_client_names_omitted",
    "gauge",
    "Common names in CLIENT_LIST of status 3 that have no series of their own, because max_clients other names have; "
    "they share the series with an empty common_name. As of the last poll; absent if that got no answer.",
)

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 30, 60)
_MAX_PARALLEL: Final = 16  # servers that --once polls at the same time


class ManagementCollector(Collector):
    """Serves what a poller per server has learned in the background; --once polls right now instead."""

    def __init__(self, config: Config, procfs: Path, *, once: bool) -> None:
        self._procfs = procfs
        self._once = once
        self._commands = COMMANDS.counter()
        self._failures = FAILURES.counter()
        self._duration = DURATION.histogram(_BUCKETS)
        self._servers = ServerSet(_relevant, self._poller)
        self._lock = threading.Lock()  # a poller that is dropped must not count any more
        self.reconfigure(config)

    @property
    def active(self) -> bool:
        """Return whether a server has a management address."""
        return bool(self._servers.watchers)

    def start(self) -> None:
        """Start polling."""
        if not self._once:
            self._servers.start()

    def stop(self) -> None:
        """End polling."""
        self._servers.stop()

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
        families = list(self._families(pollers))
        if faults := self._servers.faults:
            raise PartialResultError("; ".join(faults), families)
        return families

    def _families(self, pollers: Mapping[str, Poller]) -> Families:
        if not self._once:
            yield from self._commands.collect()
            yield from self._failures.collect()
            yield from self._duration.collect()
            yield _each(PENDING, {name: poller.pending() for name, poller in pollers.items()})
        states = {name: state for name, poller in pollers.items() if (state := poller.state)}
        stats = {name: state.stats for name, state in states.items() if state.stats}
        versions = {name: state.version for name, state in states.items() if state.version}
        yield _each(UP, {name: int(state.up) for name, state in states.items()})
        yield _each(LAST_REPLY, {name: poller.last_reply for name, poller in pollers.items()})
        yield _each(CONNECTED_CLIENTS, {name: each.clients for name, each in stats.items()})
        yield _each(RECEIVED, {name: each.received for name, each in stats.items()})
        yield _each(SENT, {name: each.sent for name, each in stats.items()})
        yield INFO.family([1] * len(versions), list(versions), list(versions.values()))
        yield _each(VERBOSITY, {name: state.verb for name, state in states.items()})
        yield _each(MUTE, {name: state.mute for name, state in states.items()})
        yield from self._clients(states)

    def _clients(self, states: Mapping[str, ServerState]) -> Families:
        rows = [(server, row) for server, state in states.items() for row in state.clients]
        servers, names = [server for server, _ in rows], [row.name for _, row in rows]
        if not self._once:  # sums over connections that have ended take a process that lives between scrapes
            yield CLIENT_RECEIVED.family([row.received for _, row in rows], servers, names)
            yield CLIENT_SENT.family([row.sent for _, row in rows], servers, names)
        now = [(server, row) for server, row in rows if states[server].up]
        servers, names = [server for server, _ in now], [row.name for _, row in now]
        yield CLIENT_CONNECTIONS.family([row.connections for _, row in now], servers, names)
        yield _each(NAMES_OMITTED, {name: state.omitted for name, state in states.items() if state.up})

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


def _each(metric: Metric, values: Mapping[str, float | None]) -> Family:
    known = {name: value for name, value in values.items() if value is not None}
    return metric.family(list(known.values()), list(known))


def _build(context: BuildContext) -> ManagementCollector | None:
    """Return None for --once if no server has a management address."""
    settings = context.settings
    collector = ManagementCollector(settings.config, settings.procfs, once=settings.once)
    return collector if collector.active or not settings.once else None


SPEC: Final = CollectorSpec("management", True, _build, "OpenVPN's management interface, polled in the background")
