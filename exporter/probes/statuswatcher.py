"""Watch one status file in the background, so that no scrape ever waits for a file system."""

import logging
import time
from pathlib import Path
from typing import Final, Literal, NamedTuple

from exporter.background import BackgroundThread
from exporter.config.model import OpenVpnServer
from exporter.logs import StateLog
from exporter.openvpn.freshness import Freshness
from exporter.openvpn.status import Completeness, Status, read_status
from exporter.probes.statusfile import read_whole, signature

_log = logging.getLogger(__name__)

StatusState = Literal["ok", "stale", "torn", "empty", "missing", "unreadable"]

_MAX_PAUSE: Final = 15.0  # seconds between two looks at the file, however seldom it is written
_MIN_PAUSE: Final = 0.25
_HANGING: Final = 10.0  # seconds after which a read that has not returned counts as a fault


class StatusReading(NamedTuple):
    """What a look at the file found."""

    state: StatusState
    time: float | None  # inside the file, seconds since 1970
    clients: int | None  # that have a name
    fault: str | None  # why the state is "unreadable"
    stale_from: float  # by time.monotonic()
    missed: int  # updates that did not come, since watching started


class StatusWatcher:
    """Looks at one file four times per status_interval; reads it whole if it has changed."""

    def __init__(self, server: OpenVpnServer) -> None:
        assert server.status is not None  # noqa: S101  # the collector makes watchers only for those that have one
        self._name = server.name
        self._path: Path = server.status
        self._pause = max(_MIN_PAUSE, min(_MAX_PAUSE, server.status_interval / 4))
        self._freshness = Freshness(server.status_interval, time.monotonic())
        self._signature: tuple[int, ...] | None = None  # of what was read whole and at rest
        self._status = Status(Completeness.EMPTY)
        self._reading: StatusReading | None = None  # of the last look; replaced as a whole
        self._looking_since: float | None = None
        self._notices = StateLog(_log)
        self._thread = BackgroundThread(f"status {server.name}", self._round)

    def start(self) -> None:
        """Start watching, at once."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask for the end of watching."""
        self._thread.request_stop()

    def stop(self, within: float) -> None:
        """End watching, within so many seconds; a file system that hangs may hold the thread for longer."""
        self._thread.stop(within)

    @property
    def reading(self) -> StatusReading | None:
        """Return what the last look found, stale if it is by now; None before the first look has ended."""
        reading = self._reading
        if reading and self._hanging():
            return reading._replace(state="unreadable", time=None, clients=None)
        if reading and reading.state == "ok" and time.monotonic() >= reading.stale_from:
            return reading._replace(state="stale")
        return reading

    @property
    def fault(self) -> str | None:
        """Return why the file cannot be read, in one sentence that names it."""
        reading = self._reading
        fault = self._thread.fault or self._hanging() or (reading.fault if reading else None)
        return f"{self._path} of server {self._name}: {fault}" if fault else None

    def look(self) -> None:
        """Look at the file now."""
        self._looking_since = time.monotonic()
        try:
            self._reading = reading = self._look()
        finally:
            self._looking_since = None
        if reading.state in ("missing", "empty"):
            message = f"the status file {self._path} of server {self._name} is {reading.state}"
            self._notices.problem("state", message, server=self._name)
        else:
            self._notices.resolved("state", f"the status file {self._path} of server {self._name} is there again")

    def _round(self) -> float:
        self.look()
        return self._pause

    def _hanging(self) -> str | None:
        since = self._looking_since
        seconds = 0.0 if since is None else time.monotonic() - since
        return f"a read has not returned for {seconds:.0f} seconds" if seconds > _HANGING else None

    def _look(self) -> StatusReading:
        try:
            settled = self._read()
        except (FileNotFoundError, NotADirectoryError):
            return self._found("missing", Status(Completeness.EMPTY))
        except OSError as error:
            return self._found("unreadable", Status(Completeness.EMPTY), error.strerror or str(error))
        status = self._status
        match status.completeness:
            case Completeness.FOREIGN:
                return self._found("unreadable", status, "it is not a status file of OpenVPN")
            case Completeness.EMPTY:
                return self._found("empty", status)
            case Completeness.COMPLETE if settled:
                return self._found("ok", status)
        return self._found("torn", status._replace(clients=None))

    def _read(self) -> bool:
        """Read the file if it has changed; return whether it was at rest meanwhile. Raise OSError."""
        found = signature(self._path)
        if found == self._signature:
            return True
        self._signature = None
        reading = read_whole(self._path)
        self._status = read_status(reading.data, time.time())
        if reading.settled and signature(self._path) == found:
            self._signature = found
        return reading.settled

    def _found(self, state: StatusState, status: Status, fault: str | None = None) -> StatusReading:
        self._freshness.observe(status.time, wall=time.time(), clock=time.monotonic())
        return StatusReading(
            state, status.time, status.clients, fault, self._freshness.stale_from, self._freshness.missed
        )
