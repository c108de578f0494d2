"""Collector `hooks`: how the scripts fared that openvpn-mq-hook runs, from the records that it writes."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config
from exporter.exposition.families import Metric
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.positions import Positions
from exporter.logs import StateLog
from exporter.openvpn.hookrecord import DROPS, FAILURES, HOOKS, End, Run, Start, parse
from exporter.openvpn.hookruns import OpenRuns
from exporter.procfs import gone
from exporter.sysv.keys import Ftok, NamedQueue
from exporter.sysv.names import QueueNames

_log = logging.getLogger(__name__)

RUNS: Final = Metric(
    "openvpn_hook_runs_total",
    "counter",
    "Scripts started, from the lines that openvpn-mq-hook writes to its record before each.",
    ("server", "hook"),
)
RUN_FAILURES: Final = Metric(
    "openvpn_hook_failures_total",
    "counter",
    "Scripts that ended badly, from the result in the record of openvpn-mq-hook; signal also where the hook itself was "
    "killed, so that its process is gone and the record has no end.",
    ("server", "hook", "reason"),
)
DURATION: Final = Metric(
    "openvpn_hook_duration_seconds",
    "histogram",
    "From start to end of the script, as openvpn-mq-hook measured it: OpenVPN served nobody else meanwhile.",
    ("server", "hook"),
)
RUNNING: Final = Metric(
    "openvpn_hook_running",
    "gauge",
    "Scripts that the record of openvpn-mq-hook says have started and not ended, and whose process is not known to be "
    "gone; followed between scrapes.",
    ("server", "hook"),
)
UPDATES: Final = Metric(
    "openvpn_status_updates_total",
    "counter",
    "Status updates that openvpn-mq-hook tried to put on the queue, from its record.",
    ("server", "queue"),
)
DROPPED: Final = Metric(
    "openvpn_status_updates_dropped_total",
    "counter",
    "Status updates that never reached the queue, by what msgget or msgsnd said, from the record of openvpn-mq-hook.",
    ("server", "queue", "reason"),
)

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MOST_QUEUES: Final = 100  # labels of queues for each server; whoever can write to the record could make up more
_OTHERS: Final = "other"  # the label of the queues beyond
_INTERVAL: Final = 1.0  # seconds between looks whether the processes of open runs are there


class _Counts:
    """The counters that live on between scrapes; what can be known in advance is there at 0."""

    def __init__(self, servers: Sequence[str], named: Sequence[NamedQueue], names: QueueNames) -> None:
        self.runs, self.failures = RUNS.counter(), RUN_FAILURES.counter()
        self.durations = DURATION.histogram(_BUCKETS)
        self._updates, self._drops = UPDATES.counter(), DROPPED.counter()
        self._named = named
        self._names = names
        self._queues: dict[str, set[str]] = {server: set() for server in servers}
        for server in servers:
            for hook in HOOKS:
                self.runs.labels(server, hook)
                for reason in FAILURES:
                    self.failures.labels(server, hook, reason)
            for queue in named:
                self._queue(server, queue.name)

    def started(self, server: str, hook: str) -> None:
        """A script has started."""
        self.runs.labels(server, hook).inc()
        self.durations.labels(server, hook)  # so that its first observation shows as an increase

    def ended(self, server: str, end: End) -> None:
        """It has ended, and its status update has been sent or not."""
        hook = end.run.hook
        if end.failure:
            self.failures.labels(server, hook, end.failure).inc()
        if end.seconds is not None:
            self.durations.labels(server, hook).observe(end.seconds)
        if end.queue:
            queue = self._queue(server, self._label(end.queue))
            self._updates.labels(server, queue).inc()
            if end.drop:
                self._drops.labels(server, queue, end.drop).inc()

    def vanished(self, server: str, hook: str) -> None:
        """Its process is gone, and no end was written."""
        self.failures.labels(server, hook, "signal").inc()

    def collect(self) -> Families:
        """All of them."""
        for metric in (self.runs, self.failures, self.durations, self._updates, self._drops):
            yield from metric.collect()

    def _label(self, queue: str) -> str:
        """As the collector `queues` labels it; where ftok failed, the name that belongs to its path and id."""
        if not queue.startswith("ftok:"):
            return self._names.by_key().get(int(queue, 16), queue)
        texts = {f"ftok:{key.path}:{key.id}": name for name, key in self._named if isinstance(key, Ftok)}
        return texts.get(queue, queue)

    def _queue(self, server: str, queue: str) -> str:
        known = self._queues[server]
        if queue not in known:
            queue = queue if len(known) < _MOST_QUEUES else _OTHERS
            known.add(queue)
            self._updates.labels(server, queue)
            for reason in DROPS:
                self._drops.labels(server, queue, reason)
        return queue


class _Record(Source):
    """One record: its lines are counted, and runs whose process is gone without an end are found out."""

    def __init__(
        self, path: Path, servers: Sequence[str], config: Config, counts: _Counts, positions: Positions, procfs: Path
    ) -> None:
        super().__init__()
        self.servers = servers
        self._path = path
        self._counts = counts
        self._procfs = procfs
        self._file = FollowedFile(path, self._take, positions, lambda: config.server_files)
        name = f"{path} open runs"
        self.open = OpenRuns(positions.load(name), lambda runs: positions.save(name, runs))
        self.known = False  # whether all has been read once, so that `open` is the truth
        self._look_at = 0.0
        self._notices = StateLog(_log)

    def poll(self) -> bool:
        """As Source has it."""
        suspects: list[Run] = []
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _INTERVAL
            suspects = [run for run in self.open.now() if gone(self._procfs, run.pid, run.start_ticks, run.namespace)]
        if self._file.poll():
            return True
        # All has been read that was written while they were there: what has no end by now will have none.
        for run in suspects:
            server = self.server(run)
            if self.open.end(run) and server:
                self._counts.vanished(server, run.hook)
        self.open.save()
        self.known = True
        return False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def server(self, run: Run) -> str | None:
        """The configured name: of the only server that has this record; of several, of the one that the hook names."""
        if len(self.servers) == 1:
            return self.servers[0]
        return run.server if run.server in self.servers else None

    def _take(self, batch: bytes) -> None:
        for line in parse(batch):
            if line is None:
                self._notices.problem(
                    "form", f"{self._path} has lines that are not openvpn-mq-hook's; they are left out"
                )
                continue
            server = self.server(line.run)
            if server is None:
                self._notices.problem(
                    "server",
                    f"{self._path} has lines of a server that is none of {', '.join(self.servers)}; they are left out: "
                    "give the hook that name by --server, or rename the server in the configuration",
                )
            elif isinstance(line, Start):
                self.open.begin(line.run)
                self._counts.started(server, line.run.hook)
            else:
                if not self.open.end(line.run):  # its beginning was lost, or came before this exporter
                    self._counts.started(server, line.run.hook)
                self._counts.ended(server, line)
        self.open.save()


class HooksCollector(Collector):
    """Follows one record for each file that servers name."""

    def __init__(self, records: Sequence[_Record], counts: _Counts) -> None:
        self._records = records
        self._counts = counts
        self._follower = Follower()

    def start(self) -> None:
        """Begin to follow."""
        for record in self._records:
            self._follower.add(record)

    def stop(self) -> None:
        """End it; positions and open runs are saved by then."""
        self._follower.stop()

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Counters as they stand; how many are running only where the record can be read."""
        running: dict[tuple[str, str], int] = {}
        for record in self._records:
            if record.known and record.fault is None:
                running.update({(server, hook): 0 for server in record.servers for hook in HOOKS})
                for run in record.open.now():
                    cell = record.server(run) or "", run.hook
                    if cell in running:  # one remembered from before may be of a server that is gone
                        running[cell] += 1
        servers, hooks = [server for server, _ in running], [hook for _, hook in running]
        families = [*self._counts.collect(), RUNNING.family(list(running.values()), servers, hooks)]
        faults = [record.fault for record in self._records if record.fault]
        if faults:
            raise PartialResultError("; ".join(faults), families)
        return families


def _build(context: BuildContext) -> HooksCollector | None:
    """From the servers that have a record; None for a single look, which follows nothing."""
    settings = context.settings
    servers: dict[Path, list[str]] = {}
    for server in settings.config.servers:
        if server.hooks:
            servers.setdefault(server.hooks, []).append(server.name)
    if not servers or settings.once:
        return None
    counts = _Counts([name for names in servers.values() for name in names], settings.config.queue_names, context.names)
    positions = Positions(settings.state_directory)
    records = [
        _Record(path, names, settings.config, counts, positions, settings.procfs) for path, names in servers.items()
    ]
    return HooksCollector(records, counts)


SPEC: Final = CollectorSpec("hooks", True, _build, "scripts that openvpn-mq-hook runs, if a server has a record")
