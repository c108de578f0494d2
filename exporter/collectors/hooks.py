"""Collector `hooks`: how the scripts ended that openvpn-mq-hook runs, from the records that it writes."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.hooks_counts import HookCounts
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config
from exporter.exposition.families import Metric
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.positions import Positions
from exporter.logs import StateLog
from exporter.openvpn.hookrecord import HOOK_NAMES, OpenRuns, Run, Start, Verdict, parse_record
from exporter.procfs import is_gone
from exporter.sysv.names import QueueNames

_log = logging.getLogger(__name__)

RUNNING: Final = Metric(
    "openvpn_hook_running",
    "gauge",
    "Scripts that have started and not ended by the record of openvpn-mq-hook, and whose process is not known to be "
    "gone; followed between scrapes.",
    ("server", "hook"),
)

_INTERVAL: Final = 1.0  # seconds between checks of the processes of open runs


class _Record(Source):
    """One record: its lines are counted, and runs whose process is gone without an end are found."""

    def __init__(
        self, path: Path, others: Callable[[], Collection[Path]], counts: HookCounts, positions: Positions, procfs: Path
    ) -> None:
        """`others` are the files that are no rotated ones of this record (see FollowedFile)."""
        super().__init__()
        self.servers: tuple[str, ...] = ()  # that name this record
        self.open = OpenRuns(positions.load(f"{path} open runs"))
        self.complete = False  # all lines have been read once, so `open` is true
        self._path = path
        self._counts = counts
        self._positions = positions
        self._procfs = procfs
        self._file = FollowedFile(path, self._take, positions, others)
        self._saved = self.open.runs()
        self._suspects: set[Run] = set()  # whose process is gone; they may have written their end before
        self._check_at = 0.0
        self._notices = StateLog(_log)

    def poll(self) -> bool | None:
        """Read on; a record that does not exist yet is an empty one: no hook has run."""
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + _INTERVAL
            self._suspects.update(run for run in self.open.runs() if self._is_gone(run))
        try:
            more = self._file.poll()
            if more is not False:
                return more
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise
            self._notices.problem(
                "missing", f"{self._path} does not exist yet; openvpn-mq-hook creates it when it runs"
            )
        else:
            self._notices.resolved("missing", f"{self._path} exists now")
        # Everything these processes could have written has been read, so a run without an end will never get one.
        for run in self._suspects:
            server = self.server(run)
            if self.open.end(run) and server:
                self._counts.vanished(server, run.hook)
        self._suspects.clear()
        self._save()
        self.complete = True
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def server(self, run: Run) -> str | None:
        """Return the configured name: of the only server of this record; of several, that which the hook names."""
        if len(self.servers) == 1:
            return self.servers[0]
        return run.server if run.server in self.servers else None

    def _is_gone(self, run: Run) -> bool:
        return is_gone(self._procfs, run.pid, run.start_ticks, run.namespace)

    def _take(self, batch: bytes) -> None:
        for line in parse_record(batch):
            if line is None:
                message = f"{self._path} has lines that openvpn-mq-hook did not write; they are ignored"
                self._notices.problem("form", message)
                continue
            server = self.server(line.run)
            if server is None:
                self._notices.problem(
                    "server",
                    f"{self._path} has lines of a server other than {', '.join(self.servers)}; they are ignored: give "
                    "the hook that name by --server, or rename the server in the configuration",
                )
            elif isinstance(line, Start):
                self.open.start(line.run)
                self._counts.started(server, line.run.hook)
            elif isinstance(line, Verdict):
                self._counts.decided(server, line)
            else:
                if not self.open.end(line.run):  # its start was lost, or came before this exporter's
                    self._counts.started(server, line.run.hook)
                self._counts.ended(server, line)
        self._save()

    def _save(self) -> None:
        runs = self.open.runs()
        if runs != self._saved:
            self._positions.save(f"{self._path} open runs", runs)
            self._saved = runs


class HooksCollector(Collector):
    """Follows each file that servers name as their record."""

    def __init__(self, config: Config, names: QueueNames, positions: Positions, procfs: Path) -> None:
        self._positions = positions
        self._procfs = procfs
        self._counts = HookCounts(names)
        self._follower = Follower()
        self._follows = False  # between start and stop
        self._records: dict[Path, _Record] = {}  # replaced as a whole
        self._not_followed: dict[Path, str] = {}  # and why
        self._config = Config()
        self.reconfigure(config)

    @property
    def active(self) -> bool:
        """Return whether a server has a record."""
        return bool(self._records)

    def start(self) -> None:
        """Start following."""
        self._follows = True
        self._follow(self._records)

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
        self._counts.configure(now, gone, config.queue_names)
        if self._follows:
            self._follower.remove(*(old[path] for path in old.keys() - records.keys()))
            self._not_followed = {path: why for path, why in self._not_followed.items() if path in records}
            self._follow(records.keys() - old.keys())

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return the counters; the running scripts only of records that can be read."""
        running: dict[tuple[str, str], int] = {}
        faults = list(self._not_followed.values())
        for record in self._records.values():
            if fault := record.fault:
                faults.append(fault)
            elif record.complete:
                running.update({(server, hook): 0 for server in record.servers for hook in HOOK_NAMES})
                for run in record.open.runs():
                    cell = record.server(run) or "", run.hook
                    if cell in running:  # a remembered run may be of a server that is no longer configured
                        running[cell] += 1
        servers, hooks = [server for server, _ in running], [hook for _, hook in running]
        families = [*self._counts.collect(), RUNNING.family(list(running.values()), servers, hooks)]
        if faults:
            raise PartialResultError("; ".join(faults), families)
        return families

    def _record(self, path: Path) -> _Record:
        return _Record(path, lambda: self._config.server_files, self._counts, self._positions, self._procfs)

    def _follow(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                self._follower.add(self._records[path])
            except RuntimeError as error:
                self._not_followed[path] = f"cannot follow {path}: {error}"


def _build(context: BuildContext) -> HooksCollector | None:
    """Return None for --once, which follows nothing."""
    settings = context.settings
    if settings.once:
        return None
    return HooksCollector(settings.config, context.names, Positions(settings.state_directory), settings.procfs)


SPEC: Final = CollectorSpec("hooks", True, _build, "scripts that openvpn-mq-hook runs, if a server has a record")
