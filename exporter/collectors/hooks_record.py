"""One record of openvpn-mq-hook, for the collector `hooks`: read on as it grows, its scripts counted."""

import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from exporter.collectors.hooks_counts import HookCounts
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.positions import Positions
from exporter.logs import StateLog
from exporter.openvpn.hookrecord import OpenRuns, Run, Start, Verdict, parse_record
from exporter.procfs import is_gone

_log = logging.getLogger(__name__)

_INTERVAL: Final = 1.0  # seconds between checks of the processes of open runs


class HookRecord(Source):
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
