"""The dialogue with OpenVPN's management interface, without the socket: bytes that came in, bytes to send out."""

import re
from collections.abc import Callable, Generator
from typing import Final, Literal, NamedTuple

from exporter.openvpn.clients import Client, ClientListError, read_clients

Reason = Literal["busy", "refused", "auth", "timeout", "protocol"]
Talk = Generator[bytes, bytes, None]  # yields what to send, is given one line at a time

_PROMPT: Final = b"ENTER PASSWORD:"  # comes without an end of line
_LOAD_STATS: Final = re.compile(rb"SUCCESS: nclients=([0-9]{1,19}),bytesin=([0-9]{1,19}),bytesout=([0-9]{1,19})\b.*")
_VERB: Final = re.compile(rb"SUCCESS: verb=([0-9]{1,9})")
_MUTE: Final = re.compile(rb"SUCCESS: mute=([0-9]{1,9})")
_VERSION: Final = re.compile(rb"OpenVPN Version: OpenVPN ([!-~]{1,64})(?: .*)?")

_LINE_MOST: Final = 64 * 1024  # bytes; the longest true lines are some hundred
_ANSWER_MOST: Final = 1024 * 1024  # bytes of a whole poll, most of them real-time lines that nobody asked for
_STATUS_MOST: Final = 16 * 1024 * 1024  # bytes, where `status 3` is asked: some 250 a client


class PollError(Exception):
    """A poll that got no proper answer: the reason of the metric, and a sentence for the log."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LoadStats(NamedTuple):
    """The reply to `load-stats`."""

    clients: int  # that have authenticated
    received: int  # bytes, since OpenVPN started
    sent: int


class Dialogue:
    """One poll: waits for the banner, gives the password if asked, then the commands, one after the other.

    `receive` takes what came, in whatever pieces, and says what to send. The answers stand in the attributes, None
    until they came, and `finished` says that all have. Any bytes at all end in an answer or in PollError.
    """

    def __init__(self, password: Callable[[], bytes], *, details: bool = True, per_client: bool = False) -> None:
        """`password` is called when OpenVPN asks for one, and may raise PollError where there is none.

        `details`: also ask for version, verb and mute; `per_client`: also for `status 3`.
        """
        self.stats: LoadStats | None = None
        self.version: str | None = None
        self.verb: int | None = None
        self.mute: int | None = None
        self.clients: list[Client] | None = None
        self.heard = 0  # bytes
        self.commands = 0  # handed out for sending
        self.finished = False
        self.interferes = False  # OpenVPN asks us about clients: it runs with --management-client-auth
        self._password = password
        self._details = details
        self._per_client = per_client
        self._greeted = False
        self._rest = b""
        self._talk = self._whole()
        next(self._talk)  # to its first wait for a line

    def receive(self, data: bytes) -> bytes:
        """What to send now, often nothing. Raises PollError."""
        self.heard += len(data)
        if self.heard > (_STATUS_MOST if self._per_client else _ANSWER_MOST):
            raise PollError("protocol", f"it sent more than {self.heard - len(data)} bytes without coming to an end")
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_MOST:
            raise PollError("protocol", f"it sent a line of more than {_LINE_MOST} bytes")
        out = b"".join(self._take(line.rstrip(b"\r")) for line in lines)
        if not self._greeted and self._rest.startswith(_PROMPT):
            self._rest = self._rest.removeprefix(_PROMPT)
            out += self._take(_PROMPT)
        return out

    def _take(self, line: bytes) -> bytes:
        if self.finished:
            return b""  # a late real-time line
        if self._greeted and line.startswith(b">"):
            self.interferes |= line.startswith((b">CLIENT:CONNECT", b">CLIENT:REAUTH"))
            return b""
        try:
            return self._talk.send(line)
        except StopIteration:
            self.finished = True
            return b""

    def _whole(self) -> Talk:
        yield from self._greeting()
        line = yield self._command(b"load-stats")
        match = _LOAD_STATS.fullmatch(line)
        if not match:
            raise PollError("protocol", f"it answered load-stats with {_shown(line)}")
        self.stats = LoadStats(*map(int, match.groups()))
        if self._details:
            yield from self._ask_version()
            self.verb = _number(_VERB, (yield self._command(b"verb")))
            if not self._per_client:
                self.mute = _number(_MUTE, (yield self._command(b"mute")))
        if self._per_client:
            yield from self._ask_clients()

    def _greeting(self) -> Talk:
        line = yield b""
        given = False
        while not line.startswith(b">INFO:"):
            if given and line.startswith((_PROMPT, b"ERROR: bad password")):  # some versions only ask again
                raise PollError("auth", "it does not take the password; see management_password_file")
            if line.startswith(_PROMPT):
                given = True
                line = yield self._password() + b"\n"
            elif line.startswith((b"SUCCESS: password", b">")):
                line = yield b""
            else:
                raise PollError("protocol", f"it greeted with {_shown(line)}; is it OpenVPN's management interface?")
        self._greeted = True

    def _ask_version(self) -> Talk:
        line = yield self._command(b"version")
        while not line.startswith((b"END", b"ERROR:")):
            if match := _VERSION.fullmatch(line):
                self.version = match[1].decode()
            line = yield b""

    def _ask_clients(self) -> Talk:
        # The reply to `mute` tells where the list ends: its own END can be missing.
        rows = []
        line = yield self._command(b"status 3") + self._command(b"mute")
        while not line.startswith(b"SUCCESS: mute="):
            if b"CLIENT_LIST" in line:
                rows.append(line)
            line = yield b""
        self.mute = _number(_MUTE, line)
        try:
            self.clients = read_clients(rows)
        except ClientListError as error:
            raise PollError("protocol", f"its list of clients makes no sense: {error}") from None

    def _command(self, command: bytes) -> bytes:
        self.commands += 1
        return command + b"\n"


def _number(form: re.Pattern[bytes], line: bytes) -> int | None:
    match = form.fullmatch(line)
    return int(match[1]) if match else None


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))
