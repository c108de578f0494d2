"""Collector `discovery`: the OpenVPN instances that run here, and what their configuration says."""

from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.discovery.access import KINDS
from exporter.discovery.found import Found
from exporter.discovery.watch import Discovery
from exporter.exposition.families import Family, Metric

INFO: Final = Metric(
    "openvpn_instance_info",
    "gauge",
    "An OpenVPN process, from /proc and its configuration; always 1. version: from its program file; mode: server, "
    "client, p2p, or unknown; looked for every minute.",
    ("server", "config", "unit", "version", "mode"),
)
RUNNING: Final = Metric(
    "openvpn_instance_running",
    "gauge",
    "1 while the OpenVPN process runs; 0 for an hour after a server's has ended, for which it is still watched.",
    ("server",),
)
MAX_CLIENTS: Final = Metric(
    "openvpn_max_clients",
    "gauge",
    "max-clients of the server's configuration, or OpenVPN's default; absent if the configuration cannot be read.",
    ("server",),
)
POOL_SIZE: Final = Metric(
    "openvpn_address_pool_size",
    "gauge",
    "IPv4 addresses that the server can hand out, from server, server-bridge or ifconfig-pool of its configuration.",
    ("server",),
)
EXPIRY: Final = Metric(
    "openvpn_certificate_expiry_timestamp_seconds",
    "gauge",
    "The earliest notAfter in the file or inline block of the options ca and cert, the earliest nextUpdate in that of "
    "crl-verify. Of several CA certificates, those that have ended do not count unless all have.",
    ("server", "kind"),
)
UNREADABLE: Final = Metric(
    "openvpn_instance_unreadable_files",
    "gauge",
    "Files (for source=journal: journals) that the instance names and the exporter may not read, or that are not what "
    "they should be; openvpn-mq-check shows the remedies. A file that is not there does not count.",
    ("server", "source"),
)


class DiscoveryCollector(Collector):
    """Serves the last look of the background thread; a scrape itself looks at nothing."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery

    @property
    def active(self) -> bool:
        """As the flag says."""
        return self._discovery.enabled

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return the instances; nothing before the first look. Raise PartialResultError if /proc hides some."""
        found = self._discovery.found
        families = _families(found) if found else []
        if self._discovery.fault:
            raise PartialResultError(self._discovery.fault, families)
        return families


def _families(found: Found) -> list[Family]:
    instances = found.instances
    names = [instance.name for instance in instances]
    unreadable = [found.unreadable(name) for name in names]
    return [
        INFO.family(
            [1] * len(names),
            names,
            [instance.config for instance in instances],
            [instance.unit for instance in instances],
            [instance.version for instance in instances],
            [instance.mode for instance in instances],
        ),
        RUNNING.family([1] * len(names) + [0] * len(found.ended), [*names, *found.ended]),
        MAX_CLIENTS.by_label({instance.name: instance.max_clients for instance in instances}),
        POOL_SIZE.by_label({instance.name: instance.address_pool_size for instance in instances}),
        EXPIRY.family(
            [expiry.time for expiry in found.expiries],
            [expiry.server for expiry in found.expiries],
            [expiry.kind for expiry in found.expiries],
        ),
        UNREADABLE.family(
            [counts[kind] for counts in unreadable for kind in KINDS],
            [name for name in names for _ in KINDS],
            [*KINDS] * len(names),
        ),
    ]


def _build(context: BuildContext) -> DiscoveryCollector:
    return DiscoveryCollector(context.discovery)


SPEC: Final = CollectorSpec(
    "discovery", True, _build, "the OpenVPN instances that run, their limits and certificates; see --openvpn.discovery"
)
