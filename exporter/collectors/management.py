"""Collector `management`: what each server's management interface answers, and how long it takes to."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, get_args

from exporter.collectors.base import CONNECTED_CLIENTS, Collector, CollectorSpec, Families
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.config.model import OpenVpnServer
from exporter.exposition.families import Family, Kind, Metric
from exporter.openvpn.management import Reason
from exporter.probes.poller import Known, Outcome, Poller


def _metric(name: str, kind: Kind, help_text: str, *labels: str) -> Metric:
    return Metric(name, kind, help_text, ("server", *labels))


UP: Final = _metric(
    "openvpn_management_up", "gauge", "1 where the last poll of the management interface was answered, else 0."
)
COMMANDS: Final = _metric(
    "openvpn_management_commands_total", "counter", "Commands that the exporter sent to the management interface."
)
FAILURES: Final = _metric(
    "openvpn_management_command_failures_total",
    "counter",
    "Polls of the management interface that got no proper answer. busy: no greeting within the time limit, another "
    "client holds the interface (or nothing tells why). timeout: OpenVPN stood still, or fell silent after it had "
    "begun to speak. refused: nobody there, no permission, or hung up without a word. auth: password wrong, missing "
    "or not readable. protocol: an answer that is not OpenVPN's, or hung up in the middle.",
    "reason",
)
DURATION: Final = _metric(
    "openvpn_management_command_duration_seconds",
    "histogram",
    "The management command delay: from connecting to the management interface to the reply to load-stats, so with "
    "the time that OpenVPN took to greet. Polls without that reply are in "
    "openvpn_management_command_failures_total instead.",
)
PENDING: Final = _metric(
    "openvpn_management_command_pending_seconds",
    "gauge",
    "Age of the poll that waits for the management interface just now; 0 where none does.",
)
LAST_REPLY: Final = _metric(
    "openvpn_management_last_reply_timestamp_seconds",
    "gauge",
    "When load-stats was last replied to; absent before the first reply.",
)
RECEIVED: Final = _metric(
    "openvpn_server_received_bytes_total", "counter", "bytesin of load-stats; absent where the last poll got no answer."
)
SENT: Final = _metric(
    "openvpn_server_sent_bytes_total", "counter", "bytesout of load-stats; absent where the last poll got no answer."
)
INFO: Final = _metric(
    "openvpn_server_info", "gauge", "OpenVPN's version, from the management command version; always 1.", "version"
)
VERBOSITY: Final = _metric(
    "openvpn_log_verbosity", "gauge", "--verb as the management command verb tells it, asked every five minutes."
)
MUTE: Final = _metric(
    "openvpn_log_mute",
    "gauge",
    "--mute as the management command mute tells it, asked every five minutes; 0 = no line is left out of the log.",
)
CLIENT_RECEIVED: Final = _metric(
    "openvpn_server_client_received_bytes_total",
    "counter",
    "Bytes Received of CLIENT_LIST in status 3, summed over the connections of the common name, ended ones too. What "
    "a connection moved between the last poll and its end is not in it.",
    "common_name",
)
CLIENT_SENT: Final = _metric(
    "openvpn_server_client_sent_bytes_total",
    "counter",
    "Bytes Sent of CLIENT_LIST in status 3, summed over the connections of the common name, ended ones too. What a "
    "connection moved between the last poll and its end is not in it.",
    "common_name",
)
CLIENT_CONNECTIONS: Final = _metric(
    "openvpn_server_client_connections",
    "gauge",
    "Connections of the common name in CLIENT_LIST of status 3, as of the last poll; absent where that got no answer.",
    "common_name",
)

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 30, 60)
_AT_ONCE: Final = 16  # servers that a single look polls at the same time


class ManagementCollector(Collector):
    """Serves what a poller for each server has learned in the background; a single look polls right now instead."""

    def __init__(self, servers: Sequence[OpenVpnServer], procfs: Path, *, once: bool) -> None:
        """`servers`: those that have a management address."""
        self._once = once
        self._commands = COMMANDS.counter()
        self._failures = FAILURES.counter()
        self._duration = DURATION.histogram(_BUCKETS)
        self._pollers: dict[str, Poller] = {}
        for server in servers:
            name = server.name
            self._pollers[name] = Poller(server, procfs, partial(self._count, name))
            self._commands.labels(name)
            self._duration.labels(name)
            for reason in get_args(Reason):
                self._failures.labels(name, reason)

    def start(self) -> None:
        """Begin polling."""
        if not self._once:
            for poller in self._pollers.values():
                poller.start()

    def stop(self) -> None:
        """End polling."""
        for poller in self._pollers.values():
            poller.stop()
        for poller in self._pollers.values():
            poller.join()

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """What was learned last; never waits, except for a single look."""
        if self._once:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(Poller.poll, self._pollers.values()))
        else:
            yield from self._commands.collect()
            yield from self._failures.collect()
            yield from self._duration.collect()
            yield _each(PENDING, {name: poller.pending() for name, poller in self._pollers.items()})
        known = {name: known for name, poller in self._pollers.items() if (known := poller.known)}
        stats = {name: seen.stats for name, seen in known.items() if seen.stats}
        versions = {name: seen.version for name, seen in known.items() if seen.version}
        yield _each(UP, {name: int(seen.up) for name, seen in known.items()})
        yield _each(LAST_REPLY, {name: poller.last_reply for name, poller in self._pollers.items()})
        yield _each(CONNECTED_CLIENTS, {name: each.clients for name, each in stats.items()})
        yield _each(RECEIVED, {name: each.received for name, each in stats.items()})
        yield _each(SENT, {name: each.sent for name, each in stats.items()})
        yield INFO.family([1] * len(versions), list(versions), list(versions.values()))
        yield _each(VERBOSITY, {name: seen.verb for name, seen in known.items()})
        yield _each(MUTE, {name: seen.mute for name, seen in known.items()})
        yield from self._clients(known)

    def _clients(self, known: Mapping[str, Known]) -> Families:
        rows = [(name, row) for name, seen in known.items() for row in seen.clients]
        servers, names = [server for server, _ in rows], [row.name for _, row in rows]
        if not self._once:  # only what lives between scrapes can sum over connections that have ended
            yield CLIENT_RECEIVED.family([row.received for _, row in rows], servers, names)
            yield CLIENT_SENT.family([row.sent for _, row in rows], servers, names)
        now = [(server, row) for server, row in rows if known[server].up]
        servers, names = [server for server, _ in now], [row.name for _, row in now]
        yield CLIENT_CONNECTIONS.family([row.connections for _, row in now], servers, names)

    def _count(self, name: str, outcome: Outcome) -> None:
        self._commands.labels(name).inc(outcome.commands)
        if outcome.delay is not None:
            self._duration.labels(name).observe(outcome.delay)
        if outcome.failure:
            self._failures.labels(name, outcome.failure).inc()


def _each(metric: Metric, values: Mapping[str, float | None]) -> Family:
    known = {name: value for name, value in values.items() if value is not None}
    return metric.family(list(known.values()), list(known))


def _build(context: BuildContext) -> ManagementCollector | None:
    """From the configured servers; None where none has a management address."""
    settings = context.settings
    servers = [server for server in settings.config.servers if server.management]
    return ManagementCollector(servers, settings.procfs, once=settings.once) if servers else None


SPEC: Final = CollectorSpec("management", True, _build, "OpenVPN's management interface, polled in the background")
