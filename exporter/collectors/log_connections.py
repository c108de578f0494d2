"""What the collector `log` exports of connections: attempts and how they ended, phases, clients' versions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from exporter.collectors.base import Families
from exporter.exposition.families import Family, Metric
from exporter.openvpn.connection import BUCKETS, PHASES, RESULTS, Durations
from exporter.openvpn.connectiontable import ConnectionTable
from exporter.openvpn.connectiontexts import DISCONNECT_REASONS, OTHER, VERIFY_ERRORS, version_and_platform

CONNECTIONS: Final = Metric(
    "openvpn_connections_total",
    "counter",
    "Connection attempts by how they ended, from the lines that OpenVPN's log has of each client (--verb 3).",
    ("server", "result"),
)
PHASE: Final = Metric(
    "openvpn_connection_phase_seconds",
    "histogram",
    "How long each phase of a connection took, by the stamps of OpenVPN's log: TLS: Initial packet, VERIFY OK, "
    "authentication succeeded, pool returned, MULTI: Learn, PUSH_REPLY.",
    ("server", "phase"),
)
SETUP: Final = Metric(
    "openvpn_connection_setup_seconds",
    "histogram",
    "From the first line that OpenVPN's log has of a connection to its PUSH_REPLY.",
    ("server",),
)
IN_PROGRESS: Final = Metric(
    "openvpn_connections_in_progress",
    "gauge",
    "Connections that have begun, and are neither answered nor ended, by OpenVPN's log.",
    ("server",),
)
DISCONNECTS: Final = Metric(
    "openvpn_disconnects_total",
    "counter",
    "Connected clients that OpenVPN's log says are gone: client-instance exiting or restarting.",
    ("server", "reason"),
)
VERIFY_ERRORS_TOTAL: Final = Metric(
    "openvpn_verify_errors_total",
    "counter",
    "Certificates that OpenVPN's log says were refused: VERIFY ERROR.",
    ("server", "reason"),
)
VERSIONS: Final = Metric(
    "openvpn_client_versions",
    "gauge",
    "Clients that are connected by OpenVPN's log, by what they say they are: peer info IV_VER and IV_PLAT.",
    ("server", "version", "platform"),
)

_MAX_VERSIONS: Final = 50  # pairs of version and platform per server; the rarest beyond are `other`


def connection_families(tables: Mapping[str, ConnectionTable]) -> Families:
    """Return all series, `tables` by server; they may be counted on meanwhile.

    A server whose log does not show how connections are answered has those of refused certificates only.
    """
    visible = {server: table for server, table in tables.items() if table.is_visible}
    tallies = {server: table.tally for server, table in visible.items()}
    versions = [(server, *pair, count) for server, table in visible.items() for pair, count in _versions(table).items()]
    phases = [((server, phase), tally.phases[phase]) for server, tally in tallies.items() for phase in PHASES]
    refused = {server: table.tally.verify_errors for server, table in tables.items()}
    return [
        _by_value(CONNECTIONS, {server: tally.results for server, tally in tallies.items()}, RESULTS),
        _by_value(DISCONNECTS, {server: tally.disconnects for server, tally in tallies.items()}, DISCONNECT_REASONS),
        _by_value(VERIFY_ERRORS_TOTAL, refused, VERIFY_ERRORS),
        IN_PROGRESS.family([table.in_progress() for table in visible.values()], list(visible)),
        VERSIONS.family(
            [count for *_, count in versions],
            [server for server, *_ in versions],
            [version for _, version, _, _ in versions],
            [platform for _, _, platform, _ in versions],
        ),
        _histogram(PHASE, phases),
        _histogram(SETUP, [((server,), tally.phases["setup"]) for server, tally in tallies.items()]),
    ]


def _by_value(metric: Metric, counters: Mapping[str, Counter[str]], values: tuple[str, ...]) -> Family:
    rows = [(server, value, counter[value]) for server, counter in counters.items() for value in values]
    return metric.family([count for *_, count in rows], [row[0] for row in rows], [row[1] for row in rows])


def _histogram(metric: Metric, rows: Iterable[tuple[tuple[str, ...], Durations]]) -> HistogramMetricFamily:
    """Return the durations that were observed; a phase without lines has no series."""
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
    for labels, durations in rows:
        counts = list(accumulate(durations.counts))
        if counts[-1]:
            family.add_metric(labels, list(zip(bounds, counts, strict=True)), durations.sum)
    return family


def _versions(table: ConnectionTable) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for (version, platform), count in table.versions().items():
        counted[version_and_platform(version, platform)] += count
    kept = Counter(dict(counted.most_common(_MAX_VERSIONS)))
    rest = counted.total() - kept.total()
    if rest:
        kept[OTHER, OTHER] += rest
    return kept
