"""The registry of collectors: one row each."""

from typing import Final

from exporter.collectors import discovery, hooks, limits, log, management, queues, scripts, status, trace, waiters
from exporter.collectors.base import Collector, CollectorSpec
from exporter.collectors.context import BuildContext

COLLECTORS: Final[tuple[CollectorSpec, ...]] = (
    queues.SPEC,
    limits.SPEC,
    discovery.SPEC,
    log.SPEC,
    scripts.SPEC,
    hooks.SPEC,
    management.SPEC,
    status.SPEC,
    waiters.SPEC,
    trace.SPEC,
)


def build_all(context: BuildContext) -> dict[str, Collector]:
    """Build the collectors that are switched on, by name, in the registry's order."""
    settings = context.settings
    built = {}
    for spec in COLLECTORS:
        default = spec.default and settings.collector_defaults
        if settings.collectors.get(spec.name, default):
            collector = spec.build(context)
            if collector is not None:
                built[spec.name] = collector
    return built
