"""Polls one server's management interface in the background: connect, ask, leave."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.logs import StateLog
from exporter.openvpn.clients import ClientRow, ClientSums
from exporter.openvpn.freshness import grace
from exporter.openvpn.management import Dialogue, LoadStats, PollError, Reason
from exporter.probes.connection import Patience, StoppedError, connect, converse
from exporter.probes.scripts import running_script
from exporter.probes.sockets import is_held
from exporter.probes.statusfile import current_time

_log = logging.getLogger(__name__)

_DETAILS_EVERY: Final = 300.0  # seconds between questions for version, verb and mute, which seldom change
_PASSWORD_MOST: Final = 4096  # bytes

_INTERFERES: Final = (
    "asks its clients' admission of us: OpenVPN runs with --management-client-auth, and nobody can log in while we are "
    "connected; take `management` out of this server's configuration"
)
_FULL: Final = "there are more common names than max_clients; those that came last are summed together"


@dataclass(frozen=True)
class Known:
    """What is known of a server after a poll; None is what is not."""

    up: bool
    stats: LoadStats | None = None
    version: str | None = None
    verb: int | None = None
    mute: int | None = None
    clients: tuple[ClientRow, ...] = ()  # by name, where they are asked for; after a failure as they were before


class Outcome(NamedTuple):
    """What one poll did, for counting."""

    commands: int  # sent
    delay: float | None  # seconds from the poll's begin to the reply to load-stats; None where none came
    failure: Reason | None


class Poller:
    """One poll at a time, every `management_interval`; what it learned stands in `known`, which is replaced whole.

    Reading them from another thread is safe.
    """

    def __init__(self, server: OpenVpnServer, procfs: Path, report: Callable[[Outcome], None]) -> None:
        """`report` is called at the end of every poll, from the poller's thread."""
        assert server.management is not None  # noqa: S101  # the collector makes pollers only for those that have one
        self.known: Known | None = None  # None before the first poll has ended
        self.last_reply: float | None = None  # seconds since 1970
        self._server = server
        self._address: UnixAddress | TcpAddress = server.management
        self._procfs = procfs
        self._report = report
        self._sums = ClientSums(server.max_clients)
        self._asked_details = float("-inf")
        self._begun: float | None = None  # of the poll under way
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"management {server.name}", daemon=True)
        self._notices = StateLog(_log)
        self._fields = {"server": server.name}
        self._what = f"the management interface of server {server.name}"

    def start(self) -> None:
        """Begin polling, at once."""
        self._thread.start()

    def stop(self) -> None:
        """End polling; gives up the poll under way. `join` waits for it."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for the end of polling."""
        if self._thread.is_alive():
            self._thread.join(1.0)  # a name server that does not answer may hold it longer: let it

    def pending(self) -> float:
        """Seconds since the poll under way began; 0 where none is."""
        begun = self._begun
        return 0.0 if begun is None else time.monotonic() - begun

    def poll(self) -> None:
        """One poll, from connect to leave."""
        begun = self._begun = time.monotonic()
        written = self._status_time()
        details = self.known is None or not self.known.up or begun - self._asked_details >= _DETAILS_EVERY
        delays: list[float] = []

        def answered() -> None:
            delays.append(time.monotonic() - begun)
            self.last_reply = time.time()

        dialogue = Dialogue(self._password, details=details, per_client=self._server.per_client)
        failure: Reason | None = None
        try:
            self._ask(dialogue, answered)
        except PollError as error:
            failure = self._fail(error, written)
        except StoppedError:
            pass  # the poll is neither answered nor failed; what it sent was sent
        else:
            self._learn(dialogue)
            if details:
                self._asked_details = begun
        finally:
            self._begun = None
        self._report(Outcome(dialogue.commands, delays[0] if delays else None, failure))

    def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self.poll()
            except Exception as error:  # noqa: BLE001  # whatever it is: this server's polling must go on
                self._forget()
                self._notices.problem("poll", f"cannot poll {self._what}: {error!r}", **self._fields)
                _log.debug("a poll failed", exc_info=True, extra={"fields": self._fields})
            self._stopping.wait(begun + self._server.management_interval - time.monotonic())

    def _ask(self, dialogue: Dialogue, answered: Callable[[], None]) -> None:
        patience = Patience(self._server.management_timeout, self._stopping.is_set)
        with closing(connect(self._address, patience)) as connection:
            converse(connection, dialogue, patience, answered)

    def _password(self) -> bytes:
        """The first line of the password file, as OpenVPN reads it from its own."""
        path = self._server.management_password_file
        if path is None:
            raise PollError("auth", "it asks for a password; name its file in management_password_file")
        try:
            with path.open("rb") as file:
                return file.readline(_PASSWORD_MOST).rstrip(b"\r\n")
        except OSError as error:
            raise PollError("auth", f"it asks for a password, and {path} cannot be read: {error.strerror}") from None

    def _learn(self, dialogue: Dialogue) -> None:
        before = self.known or Known(up=False)
        self.known = Known(
            up=True,
            stats=dialogue.stats,
            version=dialogue.version or before.version,
            verb=before.verb if dialogue.verb is None else dialogue.verb,
            mute=before.mute if dialogue.mute is None else dialogue.mute,
            clients=() if dialogue.clients is None else self._sums.add(dialogue.clients),
        )
        self._notices.resolved("poll", f"{self._what} answers again", **self._fields)
        if dialogue.interferes:
            self._notices.problem("interferes", f"{self._what} {_INTERFERES}", **self._fields)
        if self._sums.full:
            self._notices.problem("full", f"server {self._server.name}: {_FULL}", **self._fields)

    def _fail(self, error: PollError, before: float | None) -> Reason:
        self._forget()
        reason, message = self._silence(before) if error.reason == "busy" else (error.reason, str(error))
        self._notices.problem("poll", f"{self._what} gives no answer ({reason}): {message}", **self._fields)
        return reason

    def _forget(self) -> None:
        self.known = Known(up=False, clients=self.known.clients if self.known else ())

    def _silence(self, before: float | None) -> tuple[Reason, str]:
        """Why OpenVPN said nothing to a poll; `before` is the time in the status file when it began."""
        written = self._status_time()
        if written is not None:
            if written != before:
                return "busy", "another client holds it; OpenVPN itself goes on, as its status file does"
            if time.time() - written > self._server.status_interval + grace(self._server.status_interval):
                return "timeout", "OpenVPN stands still, and its status file with it: it runs a script, or hangs"
        hooks, name = self._server.hooks, self._server.name
        if hooks and (hook := running_script(hooks, name, self._procfs)):
            return "timeout", f"OpenVPN stands still: it runs a script ({hook}), as the hook record says"
        held = is_held(self._address, self._procfs)
        if held is None:
            return "busy", "another client holds it, or OpenVPN runs a script; nothing here tells which"
        if held:
            return "busy", "another client holds it"
        return "timeout", "OpenVPN does not come to it: it runs a script, or hangs"

    def _status_time(self) -> float | None:
        try:
            return current_time(self._server.status, time.time()) if self._server.status else None
        except OSError:
            return None
