"""Collector `scripts`: every script that OpenVPN runs, as the kernel reports it (see exporter/process_events)."""

import logging
from collections.abc import Sequence
from typing import Final

from exporter.background import BackgroundThread
from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.scripts_counts import ScriptCounts
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.discovery.instance import Instance
from exporter.exposition.families import Metric
from exporter.process_events.connector import UnavailableError
from exporter.process_events.naming import match
from exporter.process_events.watcher import Watcher

_log = logging.getLogger(__name__)

RUNNING: Final = Metric(
    "openvpn_script_running",
    "gauge",
    "Scripts that OpenVPN waits for now: processes that the kernel reported to have started and not to have ended.",
    ("server", "hook"),
)
BLOCKED: Final = Metric(
    "openvpn_script_blocked_seconds_total",
    "counter",
    "Time for which OpenVPN waited for scripts and served nobody, from fork to exit of each, or until now.",
    ("server",),
)
LOST: Final = Metric(
    "openvpn_script_events_lost_total",
    "counter",
    "Reports of processes that the kernel dropped, as they were not read in time (SO_MEMINFO); scripts are missing "
    "from the counts if this rises.",
)

_PATIENCE: Final = 0.5  # seconds: so long can a stop take


class ScriptsCollector(Collector):
    """Reads the kernel's reports in a thread of its own."""

    def __init__(self, context: BuildContext) -> None:
        settings = context.settings
        self._servers: Sequence[OpenVpnServer] = settings.config.servers
        self._discovery = context.discovery
        self._are_named = self._discovery.servers_are_named  # if not, every OpenVPN process is a server
        self._is_reconfigured = False  # and the processes have not been named since
        self._counts = ScriptCounts()
        self._watcher = Watcher(
            settings.procfs, context.discovery.find, self._name, self._counts, context.discovery.hurry
        )
        self._thread = BackgroundThread("scripts", self._work)
        self._blocked: dict[str, float] = {}  # as it was exported last
        self._strangers: set[int] = set()  # pids of OpenVPN processes that are no configured server

    def connect(self) -> None:
        """Ask the kernel for its reports. Raises UnavailableError if it does not make them."""
        self._watcher.connect()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        if self._thread.stop():
            self._watcher.close()

    def reconfigure(self, config: Config) -> None:
        """Name the OpenVPN processes by the new servers."""
        self._servers = config.servers
        are_named = self._discovery.servers_are_named
        self._is_reconfigured |= are_named != self._are_named
        self._are_named = are_named
        self._watcher.look_soon()

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # no queues here
        """Return the counts so far, and what runs now."""
        servers = sorted(self._counts.servers)
        running, blocked = self._watcher.running(), self._watcher.blocked()
        # A script's end, once it is read, may turn out to have been a moment before the last scrape.
        self._blocked = {name: max(blocked.get(name, 0.0), self._blocked.get(name, 0.0)) for name in servers}
        cells = self._counts.cells
        families = [
            *self._counts.collect(),
            RUNNING.family(
                [running[cell] for cell in cells], [server for server, _ in cells], [hook for _, hook in cells]
            ),
            BLOCKED.family(list(self._blocked.values()), servers),
            LOST.family([self._watcher.lost]),
        ]
        if self._thread.fault:
            raise PartialResultError(self._thread.fault, families)
        return families

    def _work(self) -> float:
        self._watcher.work(_PATIENCE)
        return 0.0

    def _name(self, instances: Sequence[Instance]) -> dict[int, str]:
        """Return the server of each process that is to be watched, by pid."""
        named = match(instances, self._servers)
        for instance in instances:
            pid = instance.process.pid
            if pid not in named and not self._are_named:
                named[pid] = instance.name
            elif pid not in named and pid not in self._strangers:
                config = instance.config or "no configuration file"
                _log.info("scripts of OpenVPN process %d (%s) are not counted: it is no configured server", pid, config)
        self._strangers = {instance.process.pid for instance in instances} - named.keys()
        for instance in instances:
            if name := named.get(instance.process.pid):
                self._counts.know(name, instance.script_hooks)
        # A server that is gone may be one that starts again just now.
        if self._are_named or self._is_reconfigured:
            for name in self._counts.servers - {server.name for server in self._servers} - set(named.values()):
                self._counts.forget(name)
            self._is_reconfigured = False
        return named


def _build(context: BuildContext) -> ScriptsCollector | None:
    """Return None, with a log line, if the kernel does not report processes.

    If the collector was switched on by its own flag, return it anyway so that it fails visibly.
    """
    settings = context.settings
    if settings.once:
        return None
    collector = ScriptsCollector(context)
    try:
        collector.connect()
    except UnavailableError as error:
        if not settings.collectors.get("scripts"):
            _log.info("collector scripts is off: %s", error)
            return None
    return collector


SPEC: Final = CollectorSpec("scripts", True, _build, "scripts that OpenVPN runs, from the kernel's process connector")
