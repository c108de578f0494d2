"""Collector `hooks`: how the scripts ended that openvpn-mq-hook runs, from the records that it writes."""

from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.hooks_counts import HookCounts
from exporter.collectors.hooks_record import HookRecord
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config
from exporter.exposition.families import Metric
from exporter.follow.follower import Follower
from exporter.follow.positions import Positions
from exporter.sysv.names import QueueNames

RUNNING: Final = Metric(
    "openvpn_hook_running",
    "gauge",
    "Scripts that have started and not ended by the record of openvpn-mq-hook, and whose process is not known to be "
    "gone; followed between scrapes.",
    ("server", "hook"),
)


class HooksCollector(Collector):
    """Follows each file that servers name as their record."""

    def __init__(self, config: Config, names: QueueNames, positions: Positions, procfs: Path) -> None:
        self._positions = positions
        self._procfs = procfs
        self._counts = HookCounts(names)
        self._follower = Follower()
        self._follows = False  # between start and stop
        self._records: dict[Path, HookRecord] = {}  # replaced as a whole
        self._config = Config()
        self.reconfigure(config)

    @property
    def active(self) -> bool:
        """Return whether a server has a record."""
        return bool(self._records)

    def start(self) -> None:
        """Start following."""
        self._follows = True
        for record in self._records.values():
            self._follower.add(record)

    def stop(self) -> None:
        """Stop following; positions and open runs are saved by then."""
        self._follows = False
        self._follower.stop()

    def reconfigure(self, config: Config) -> None:
        """Adopt the configuration; a server that keeps its record keeps its counters."""
        before = {server.name: server.hooks for server in self._config.servers if server.hooks}
        now = {server.name: server.hooks for server in config.servers if server.hooks}
        gone = [name for name, path in before.items() if now.get(name) != path]
        self._config = config
        servers: dict[Path, tuple[str, ...]] = {}
        for name, path in now.items():
            servers[path] = (*servers.get(path, ()), name)
        old, records = self._records, {}
        for path, names in servers.items():
            records[path] = old[path] if path in old else self._record(path)
            records[path].servers = names
        for path in old.keys() - records.keys():
            old[path].servers = ()
        self._records = records
        hooks = {server.name: server.script_hooks for server in config.servers if server.hooks}
        self._counts.configure(hooks, gone, config.queue_names)
        if self._follows:
            self._follower.remove(*(old[path] for path in old.keys() - records.keys()))
            for path in records.keys() - old.keys():
                self._follower.add(records[path])

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return the counters; the running scripts only of records that can be read."""
        running: dict[tuple[str, str], int] = {}
        faults: list[str] = []
        for path, record in self._records.items():
            if refusal := self._follower.refusal(record):
                faults.append(f"cannot follow {path}: {refusal}")
            elif fault := record.fault:
                faults.append(fault)
            elif record.complete:
                for server in record.servers:
                    running.update({(server, hook): 0 for hook in self._counts.hooks(server)})
                for run in record.open.runs():
                    name = record.server(run)
                    if name in record.servers:  # a remembered run may be of a server that is no longer configured
                        running[name, run.hook] = running.get((name, run.hook), 0) + 1
        servers, hooks = [server for server, _ in running], [hook for _, hook in running]
        families = [*self._counts.collect(), RUNNING.family(list(running.values()), servers, hooks)]
        if faults:
            raise PartialResultError("; ".join(faults), families)
        return families

    def _record(self, path: Path) -> HookRecord:
        return HookRecord(path, lambda: self._config.server_files, self._counts, self._positions, self._procfs)


def _build(context: BuildContext) -> HooksCollector | None:
    """Return None for --once, which follows nothing."""
    settings = context.settings
    if settings.once:
        return None
    return HooksCollector(settings.config, context.names, Positions(settings.state_directory), settings.procfs)


SPEC: Final = CollectorSpec("hooks", True, _build, "scripts that openvpn-mq-hook runs, if a server has a record")
