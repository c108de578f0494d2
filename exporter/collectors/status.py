"""Collector `status`: whether each server's status file is there, whole and fresh, and the clients in it."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from exporter.collectors.base import CONNECTED_CLIENTS, Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.config.model import OpenVpnServer
from exporter.exposition.families import Metric
from exporter.logs import StateLog
from exporter.openvpn.freshness import Freshness
from exporter.openvpn.status import Status, Whole, read_status
from exporter.probes.statusfile import current_time, read_whole

_log = logging.getLogger(__name__)

UPDATE_TIME: Final = Metric(
    "openvpn_status_update_time_seconds",
    "gauge",
    "The time inside the status file (TIME, or Updated in version 1): when OpenVPN last wrote it. Not its mtime.",
    ("server",),
)
STATE: Final = Metric(
    "openvpn_status_state",
    "gauge",
    "The state of the status file: 1 on the one it is in. ok; stale: its time has not moved for status_interval and "
    "half of that (at least 2 s); torn: it ends before its END; empty: as on a full disk; missing; unreadable: "
    "no permission, or not a status file.",
    ("server", "state"),
)
MISSED: Final = Metric(
    "openvpn_status_updates_missed_total",
    "counter",
    "Intervals of status_interval that passed without a new time in the status file, watched between scrapes.",
    ("server",),
)

_STATES: Final = ("ok", "stale", "torn", "empty", "missing", "unreadable")
_LOOK_MOST: Final = 15.0  # seconds between looks at a file, however seldom it is written
_LOOK_LEAST: Final = 0.25


class _Watched:
    """One server's status file."""

    def __init__(self, server: OpenVpnServer) -> None:
        assert server.status is not None  # noqa: S101  # the collector makes them only for servers that have one
        self.name = server.name
        self.path = server.status
        self.counts_clients = server.management is None
        self.state = "missing"
        self.status = Status(Whole.EMPTY)
        self.fault: str | None = None
        self._freshness = Freshness(server.status_interval, time.monotonic())
        self._lock = threading.Lock()

    @property
    def missed(self) -> int:
        """Updates that did not come, since watching began."""
        return self._freshness.missed

    def glance(self) -> None:
        """Look at the time alone."""
        try:
            found = current_time(self.path, time.time())
        except OSError:
            found = None
        self._look(found)

    def read(self) -> None:
        """Read the whole file, for `state`, `status` and `fault`."""
        self.fault = None
        try:
            reading = read_whole(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self.state, self.status = "missing", Status(Whole.EMPTY)
        except OSError as error:
            self.state, self.status, self.fault = "unreadable", Status(Whole.EMPTY), error.strerror or str(error)
        else:
            self.status = read_status(reading.data, time.time())
            self._judge(settled=reading.settled)

    def _judge(self, *, settled: bool) -> None:
        self._look(self.status.time)
        if self.status.whole is Whole.FOREIGN:
            self.state, self.fault = "unreadable", "it is not a status file of OpenVPN"
        elif self.status.whole is Whole.EMPTY:
            self.state = "empty"
        elif self.status.whole is Whole.TORN or not settled:
            self.state = "torn"
            self.status = self.status._replace(clients=None)
        else:
            self.state = "stale" if self._freshness.stale(time.monotonic()) else "ok"

    def _look(self, found: float | None) -> None:
        with self._lock:
            self._freshness.look(found, wall=time.time(), clock=time.monotonic())


class StatusCollector(Collector):
    """Reads every file at every scrape; a thread looks at their times in between, to count the updates missed."""

    def __init__(self, servers: Sequence[OpenVpnServer], *, once: bool) -> None:
        """`servers`: those that have a status file."""
        self._once = once
        self._files = [_Watched(server) for server in servers]
        shortest = min(server.status_interval for server in servers)
        self._pause = max(_LOOK_LEAST, min(_LOOK_MOST, shortest / 4))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._notices = StateLog(_log)

    def start(self) -> None:
        """Begin watching."""
        if not self._once:
            self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)  # a file system that does not answer may hold it longer: let it

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """The files as they are; PartialResultError where one cannot be read."""
        for file in self._files:
            file.read()
            self._tell(file)
        families = list(self._families())
        faults = [f"{file.path} of server {file.name}: {file.fault}" for file in self._files if file.fault]
        if faults:
            raise PartialResultError("; ".join(faults), families)
        return families

    def _families(self) -> Families:
        times = {file.name: file.status.time for file in self._files if file.status.time is not None}
        clients = {
            file.name: file.status.clients
            for file in self._files
            if file.counts_clients and file.status.clients is not None
        }
        names = [file.name for file in self._files]
        yield UPDATE_TIME.family(list(times.values()), list(times))
        yield STATE.family(
            [int(file.state == state) for file in self._files for state in _STATES],
            [name for name in names for _ in _STATES],
            [*_STATES] * len(names),
        )
        if not self._once:
            yield MISSED.family([file.missed for file in self._files], names)
        yield CONNECTED_CLIENTS.family(list(clients.values()), list(clients))

    def _tell(self, file: _Watched) -> None:
        if file.state in ("missing", "empty"):
            message = f"the status file {file.path} of server {file.name} is {file.state}"
            self._notices.problem(file.name, message, server=file.name)
        else:
            self._notices.resolved(file.name, f"the status file {file.path} of server {file.name} is there again")

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            for file in self._files:
                file.glance()


def _build(context: BuildContext) -> StatusCollector | None:
    """From the configured servers; None where none has a status file."""
    settings = context.settings
    servers = [server for server in settings.config.servers if server.status]
    return StatusCollector(servers, once=settings.once) if servers else None


SPEC: Final = CollectorSpec("status", True, _build, "OpenVPN's status files: their freshness, and the clients in them")
