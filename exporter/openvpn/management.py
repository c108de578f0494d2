"""A client of OpenVPN's management interface without the socket: bytes received in, bytes to send out."""

import re
from collections.abc import Callable, Generator
from typing import Final, Literal, NamedTuple

from exporter.openvpn.clients import Client, ClientListError, read_clients

Reason = Literal["busy", "refused", "auth", "timeout", "protocol"]
_Exchange = Generator[bytes, bytes, None]  # yields what to send, receives one line at a time

_PROMPT: Final = b"ENTER PASSWORD:"  # without a line ending
_LOAD_STATS: Final = re.compile(rb"SUCCESS: nclients=([0-9]{1,19}),bytesin=([0-9]{1,19}),bytesout=([0-9]{1,19})\b.*")
_VERB: Final = re.compile(rb"SUCCESS: verb=([0-9]{1,9})")
_MUTE: Final = re.compile(rb"SUCCESS: mute=([0-9]{1,9})")
_VERSION: Final = re.compile(rb"OpenVPN Version: OpenVPN ([!-~]{1,64})(?: .*)?")

_MAX_LINE: Final = 64 * 1024  # bytes; the longest real lines have some hundred
_MAX_ANSWER: Final = 1024 * 1024  # bytes of a whole poll, with real-time lines that nobody asked for
_MAX_STATUS: Final = 16 * 1024 * 1024  # bytes, if `status 3` is asked: some 250 per client


class PollError(Exception):
    """A poll without a proper answer: the reason for the metric, and a sentence for the log."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LoadStats(NamedTuple):
    """The reply to `load-stats`."""

    clients: int  # that have authenticated
    received: int  # bytes, since OpenVPN started
    sent: int


class ManagementClient:
    """One poll: wait for the greeting, send the password if asked, then the commands, one after the other.

    `receive` takes bytes in pieces of any size and returns what to send. The answers are attributes, None until they
    are received; `finished` is set after the last. Any input whatever ends in an answer or in PollError.
    """

    def __init__(self, password: Callable[[], bytes], *, details: bool = True, per_client: bool = False) -> None:
        """`password` is called when OpenVPN asks for one; it may raise PollError if there is none.

        `details`: also ask for version, verb and mute; `per_client`: also for `status 3`.
        """
        self.stats: LoadStats | None = None
        self.version: str | None = None
        self.verb: int | None = None
        self.mute: int | None = None
        self.clients: list[Client] | None = None
        self.bytes_received = 0
        self.commands = 0  # returned for sending
        self.finished = False
        self.asked_to_authorize = False  # OpenVPN runs with --management-client-auth and asked about a client
        self._password = password
        self._details = details
        self._per_client = per_client
        self._greeted = False
        self._partial = b""
        self._exchange = self._poll()
        next(self._exchange)  # to its first wait for a line

    def receive(self, data: bytes) -> bytes:
        """Return what to send now, often nothing. Raise PollError."""
        self.bytes_received += len(data)
        if self.bytes_received > (_MAX_STATUS if self._per_client else _MAX_ANSWER):
            raise PollError("protocol", f"it sent more than {self.bytes_received - len(data)} bytes without finishing")
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) > _MAX_LINE:
            raise PollError("protocol", f"it sent a line of more than {_MAX_LINE} bytes")
        out = b"".join(self._receive_line(line.rstrip(b"\r")) for line in lines)
        if not self._greeted and self._partial.startswith(_PROMPT):
            self._partial = self._partial.removeprefix(_PROMPT)
            out += self._receive_line(_PROMPT)
        return out

    def _receive_line(self, line: bytes) -> bytes:
        if self.finished:
            return b""  # a late real-time line
        if self._greeted and line.startswith(b">"):
            self.asked_to_authorize |= line.startswith((b">CLIENT:CONNECT", b">CLIENT:REAUTH"))
            return b""
        try:
            return self._exchange.send(line)
        except StopIteration:
            self.finished = True
            return b""

    def _poll(self) -> _Exchange:
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

    def _greeting(self) -> _Exchange:
        line = yield b""
        given = False
        while not line.startswith(b">INFO:"):
            if given and line.startswith((_PROMPT, b"ERROR: bad password")):  # some versions only ask again
                raise PollError("auth", "it refuses the password; see management_password_file")
            if line.startswith(_PROMPT):
                given = True
                line = yield self._password() + b"\n"
            elif line.startswith((b"SUCCESS: password", b">")):
                line = yield b""
            else:
                raise PollError("protocol", f"it greeted with {_shown(line)}; is it OpenVPN's management interface?")
        self._greeted = True

    def _ask_version(self) -> _Exchange:
        line = yield self._command(b"version")
        while not line.startswith((b"END", b"ERROR:")):
            if match := _VERSION.fullmatch(line):
                self.version = match[1].decode()
            line = yield b""

    def _ask_clients(self) -> _Exchange:
        # The reply to `mute` marks the end of the list: its own END can be missing.
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
            raise PollError("protocol", f"its list of clients is malformed: {error}") from None

    def _command(self, command: bytes) -> bytes:
        self.commands += 1
        return command + b"\n"


def _number(form: re.Pattern[bytes], line: bytes) -> int | None:
    match = form.fullmatch(line)
    return int(match[1]) if match else None


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))
