"""Poll one server's management interface in the background: connect, ask, leave."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from exporter.background import BackgroundThread
from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.files import open_regular
from exporter.logs import StateLog
from exporter.openvpn.clients import ClientRow, ClientSums
from exporter.openvpn.freshness import grace
from exporter.openvpn.management import LoadStats, ManagementClient, PollError, Reason
from exporter.probes.connection import Deadline, StoppedError, connect, run_poll
from exporter.probes.scripts import running_script
from exporter.probes.sockets import has_client
from exporter.probes.statusfile import current_time

_log = logging.getLogger(__name__)

_DETAILS_EVERY: Final = 300.0  # seconds between questions for version, verb and mute, which seldom change
_MAX_PASSWORD: Final = 4096  # bytes

_ASKED_TO_AUTHORIZE: Final = (
    "asks the exporter to authorize clients: OpenVPN runs with --management-client-auth, so nobody can log in while "
    "the exporter is connected; remove `management` for this server"
)
_FULL: Final = "has clients of more common names than max_clients; the names that came last share one series"


@dataclass(frozen=True)
class ServerState:
    """What is known of a server after a poll; None is what is not known."""

    up: bool
    stats: LoadStats | None = None
    version: str | None = None
    verb: int | None = None
    mute: int | None = None
    clients: tuple[ClientRow, ...] = ()  # by name, if they are asked for; after a failure as before
    omitted: int | None = None  # names without a row of their own, if they are asked for


class PollResult(NamedTuple):
    """What one poll did, for counting."""

    commands: int  # sent
    delay: float | None  # seconds from the poll's start to the reply to load-stats; None if there was none
    failure: Reason | None


class Poller:
    """Polls every `management_interval`, one poll at a time; `state` is replaced as a whole, for readers elsewhere."""

    def __init__(self, server: OpenVpnServer, procfs: Path, report: Callable[[PollResult], None]) -> None:
        """`report` is called at the end of every poll, in the poller's thread."""
        assert server.management is not None  # noqa: S101  # the collector makes pollers only for those that have one
        self.state: ServerState | None = None  # None before the first poll has ended
        self.last_reply: float | None = None  # seconds since 1970
        self.shares_record = False  # other servers of the configuration name the same hook record
        self._server = server
        self._address: UnixAddress | TcpAddress = server.management
        self._procfs = procfs
        self._report = report
        self._sums = ClientSums(server.max_clients)
        self._asked_details = float("-inf")
        self._started: float | None = None  # of the poll under way
        self._thread = BackgroundThread(
            f"management {server.name}", self._round, rest_after_fault=server.management_interval
        )
        self._notices = StateLog(_log)
        self._fields = {"server": server.name}
        self._what = f"the management interface of server {server.name}"

    @property
    def fault(self) -> str | None:
        """Return why there are no polls, in one sentence; None if there are, whatever the answer."""
        fault = self._thread.fault
        return f"server {self._server.name}: {fault}" if fault else None

    def start(self) -> None:
        """Start polling, at once."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask for the end of polling; the poll under way is given up."""
        self._thread.request_stop()

    def stop(self, within: float) -> None:
        """End polling, within so many seconds; a name server that does not answer may hold the thread for longer."""
        self._thread.stop(within)

    def pending(self) -> float:
        """Return the seconds since the poll under way started; 0 if there is none."""
        started = self._started
        return 0.0 if started is None else time.monotonic() - started

    def poll(self) -> None:
        """Poll once, from connecting to leaving."""
        started = self._started = time.monotonic()
        written = self._status_time()
        details = self.state is None or not self.state.up or started - self._asked_details >= _DETAILS_EVERY
        delays: list[float] = []

        def answered() -> None:
            delays.append(time.monotonic() - started)
            self.last_reply = time.time()

        client = ManagementClient(self._password, details=details, per_client=self._server.per_client)
        failure: Reason | None = None
        try:
            self._ask(client, answered)
        except PollError as error:
            failure = self._fail(error, written)
        except StoppedError:
            pass  # the poll is neither answered nor failed; what it sent was sent
        else:
            self._store(client)
            if details:
                self._asked_details = started
        finally:
            self._started = None
        self._report(PollResult(client.commands, delays[0] if delays else None, failure))

    def _round(self) -> float:
        started = time.monotonic()
        try:
            self.poll()
        except Exception:
            self._mark_down()
            raise  # reported as the thread's fault
        return max(0.001, started + self._server.management_interval - time.monotonic())

    def _ask(self, client: ManagementClient, answered: Callable[[], None]) -> None:
        deadline = Deadline(self._server.management_timeout, lambda: self._thread.is_stopping)
        with closing(connect(self._address, deadline)) as connection:
            run_poll(connection, client, deadline, answered)

    def _password(self) -> bytes:
        """Return the first line of the password file, as OpenVPN reads its own."""
        path = self._server.management_password_file
        if path is None:
            raise PollError("auth", "it asks for a password; name its file in management_password_file")
        try:
            with open(open_regular(path), "rb") as file:
                return file.readline(_MAX_PASSWORD).rstrip(b"\r\n")
        except OSError as error:
            raise PollError("auth", f"it asks for a password, and {path} cannot be read: {error.strerror}") from None

    def _store(self, client: ManagementClient) -> None:
        before = self.state or ServerState(up=False)
        self.state = ServerState(
            up=True,
            stats=client.stats,
            version=client.version or before.version,
            verb=before.verb if client.verb is None else client.verb,
            mute=before.mute if client.mute is None else client.mute,
            clients=() if client.clients is None else self._sums.add(client.clients),
            omitted=None if client.clients is None else self._sums.omitted,
        )
        self._notices.resolved("poll", f"{self._what} answers again", **self._fields)
        if client.asked_to_authorize:
            self._notices.problem("authorize", f"{self._what} {_ASKED_TO_AUTHORIZE}", **self._fields)
        if self._sums.omitted:
            self._notices.problem("full", f"server {self._server.name} {_FULL}", **self._fields)

    def _fail(self, error: PollError, written_before: float | None) -> Reason:
        self._mark_down()
        reason, message = error.reason, str(error)
        if reason == "busy":
            reason, message = self._classify_silence(written_before)
        self._notices.problem("poll", f"{self._what} gives no answer ({reason}): {message}", **self._fields)
        return reason

    def _mark_down(self) -> None:
        before = self.state or ServerState(up=False)
        self.state = ServerState(up=False, clients=before.clients, omitted=before.omitted)

    def _classify_silence(self, written_before: float | None) -> tuple[Reason, str]:
        """Return why OpenVPN did not greet; `written_before` is the status file's time when the poll started."""
        written = self._status_time()
        if written is not None:
            if written != written_before:
                return "busy", "another client holds it; OpenVPN itself is running, as its status file is updated"
            if time.time() - written > self._server.status_interval + grace(self._server.status_interval):
                return "timeout", "OpenVPN is blocked, and its status file is overdue: it runs a script, or hangs"
        if self._server.hooks:
            hook = running_script(self._server.hooks, self._server.name if self.shares_record else None, self._procfs)
            if hook:
                return "timeout", f"OpenVPN is blocked: it runs a script ({hook}), according to the hook record"
        held = has_client(self._address, self._procfs)
        if held is None:
            return "busy", "another client holds it, or OpenVPN runs a script; nothing here tells which"
        if held:
            return "busy", "another client holds it"
        return "timeout", "OpenVPN does not accept connections: it runs a script, or hangs"

    def _status_time(self) -> float | None:
        try:
            return current_time(self._server.status, time.time()) if self._server.status else None
        except OSError:
            return None
