"""Which lines of a log are OpenVPN's own, and what they mean.

Scripts print into the same log. OpenVPN either stamps all of its lines or none, and whatever carries the log (syslog, a
container runtime) puts its prefix in front of all of them; so if OpenVPN's lines have such a mark, a line without it is
a script's. Whether they have it is learned from the lines that only OpenVPN writes, and learned anew all the time: a
restart may change it, and one dated line of a script proves nothing. While it is in doubt, every line counts by its own
form, with or without the mark.
"""

import re
from collections.abc import Sequence
from typing import Final

from exporter.openvpn.connectionlines import ConnectionReader, is_of_connection, of_client
from exporter.openvpn.connections import Connections
from exporter.openvpn.connectiontable import ConnectionTable
from exporter.openvpn.found import Found, Unread, lines_with, queue_lines
from exporter.openvpn.lineforms import LINES, OTHER_LINES, form_of, is_older, shape
from exporter.openvpn.logline import Line, split, split_inside, times_repeated
from exporter.openvpn.marks import Mark
from exporter.openvpn.messages import Meaning, Notice, ends_with_message, meaning
from exporter.openvpn.stamps import StampReader

# Each line that matters contains one of these.
_HINTS: Final = (
    *("Failed running ", "PLUGIN_CALL: plugin ", "MULTI_sva", "MULTI: Learn", "MULTI: new ", "MULTI: no free "),
    *("MULTI: Connection ", "MULTI: deferred ", "dropped", "Error: ", "VERIFY ", "IV_VER=", "IV_PLAT=", "SENT CONTROL"),
    *(" received, ", "Peer Connection", "Initial packet", "authentication succ", "TCP connection est", "--mute"),
    *("--connect-freq", "Exiting due ", "Initialization Seq", "OpenVPN 2", "message repeated"),
)

_LATELY: Final = 100.0  # lines
_MIN_UNREAD: Final = 3  # lines
_MAX_REMEMBERED: Final = 4096  # bytes of the last line of a batch


class LogParser:
    """Turns the lines of one server's log into meanings, batch by batch."""

    def __init__(self) -> None:
        self.connections = ConnectionTable()
        self._state = Connections(self.connections)
        self._reader = ConnectionReader(self._state)
        self._stamps = StampReader()
        self._carrier = Mark()
        self._stamp = Mark()
        self._form = ""  # of lineforms: of the last line of OpenVPN's that took the longer way
        self._last_stamp = ""  # of a line of OpenVPN's
        self._last_line = ""
        self._batch_end = ""  # the last line of the batch before
        self._read = self._unread = 0.0  # lines that only OpenVPN writes, lately

    def feed(self, batch: bytes, times: Sequence[float] = ()) -> list[Found]:
        """Return what the lines mean that OpenVPN or its scripts wrote, in their order.

        `batch` is whole lines, each with its newline; `times` is when each was written, in seconds since 1970, if that
        is known from elsewhere.
        """
        text = batch.decode(errors="replace")
        if times:
            lines = zip(times, text.split("\n"), strict=False)
            text = "".join(f"@journal {time:.6f} {line}\n" for time, line in lines)
        has_stamp = self._form not in ("", "none", "journal")
        # Behind a stamp and a client there is no word of a script's.
        found = [] if has_stamp else queue_lines(text)
        own = 0
        stamp, seconds = "", None
        handlers, new_handler = self._reader.handlers, self._reader.new_handler
        for line_stamp, client, message, other in self._lines().findall("\n" + text):
            if client:
                own += 1
                if line_stamp != stamp:
                    stamp, seconds = line_stamp, self._stamps.seconds(line_stamp)
                handler = handlers.get(message) or new_handler(message)
                if handler:
                    handler(client, seconds)
                elif what := meaning(message):
                    found += self._counted(client, message, what, seconds, 1)
                continue
            for hint in _HINTS:
                if hint in other:
                    found += self._read_other(text, other)
                    break
            else:
                self._last_line = other
            if has_stamp and ("ueue" in other or "QUEUE" in other):
                found += queue_lines(other + "\n")
        if own:
            self._account(read=own)
            self._stamp.learn(present=has_stamp, lines=own)
            self._carrier.learn(present=self._form.startswith("journal"), lines=own)
            self._last_stamp = stamp if has_stamp and stamp and not stamp.startswith("@") else self._last_stamp
        self._batch_end = text[text.rfind("\n", 0, len(text) - 1) + 1 :]
        return found

    def _read_other(self, text: str, line: str) -> list[Found]:
        times = times_repeated(line) if "last message repeated" in line else None
        if times:
            last = [*queue_lines(f"{self._last_line}\n"), *self._meanings(self._last_line)]
            return [item._replace(times=times) for item in last]
        self._last_line = line
        if "MULTI: new connection by client" in line:
            self._read_before(text, line)
        return self._meanings(line)

    def _read_before(self, text: str, line: str) -> None:
        before = split((self._batch_end + text[: text.find(line)]).removesuffix("\n").rpartition("\n")[2])
        self._reader.read_initiated(before.client, before.message)

    def _lines(self) -> re.Pattern[str]:
        """Return the pattern for the form that OpenVPN's lines have, if every line of that form is OpenVPN's."""
        form = self._form
        if form in ("none", "journal") and self._stamp.expected:
            return OTHER_LINES
        if not form.startswith("journal") and self._carrier.expected:
            return OTHER_LINES
        return LINES.get(form, OTHER_LINES)

    def _counted(self, client: str, message: str, what: Meaning, seconds: float | None, times: int) -> list[Found]:
        self._reader.read_meaning(client, message, what, seconds)
        return [] if isinstance(what, Notice) else [Found(what, times)]

    def feed_output(self, batch: bytes) -> list[Found]:
        """Return what the lines mean that some other program wrote, according to the journal."""
        text = batch.decode(errors="replace")
        own = [
            line for line in lines_with(("Initialization Seq", "Peer Connection"), text)
            if isinstance(meaning(split(line).message), Notice)
        ]  # fmt: skip
        return [*queue_lines(text), *(self._unreadable(line) for line in own)]

    @property
    def is_unreadable(self) -> bool:
        """Return whether most of OpenVPN's lines have been unreadable lately."""
        return self._unread >= _MIN_UNREAD and self._unread > self._read

    def _meanings(self, text: str) -> list[Found]:
        """Return what a line means whose form is not the usual one."""
        line = split(text)
        misses = (self._stamp.expected and not line.stamp) or (self._carrier.expected and not line.carrier)
        what = meaning(line.message)
        if what or is_of_connection(line.client, line.message):
            started = isinstance(what, Notice) and what.started
            self._stamp.learn(present=bool(line.stamp), process_started=started)
            self._carrier.learn(present=bool(line.carrier), process_started=started)
            if not misses or started:
                return self._read_own(line, what)
        elif not (line.carrier or line.stamp or line.client) and ends_with_message(text):
            inside = self._inside(text) if misses else None
            return self._read_own(inside, meaning(inside.message)) if inside else [self._unreadable(text)]
        inside = self._inside(text) if misses and not line.stamp else None
        return self._read_own(inside, meaning(inside.message)) if inside else []

    def _read_own(self, line: Line, what: Meaning | None) -> list[Found]:
        self._account(read=1)
        if line.stamp:
            self._last_stamp = line.stamp
        self._form = form_of(line)
        # The journal's time is the more exact, OpenVPN's own the more honest of the others.
        first, second = (line.carrier, line.stamp) if line.carrier.startswith("@") else (line.stamp, line.carrier)
        seconds = self._stamps.seconds(first or second)
        if isinstance(what, Notice) and what.started:
            self._state.server_ended(is_new=True)
        if not line.client and not what and self._reader.read_without_client(line.message, seconds):
            return []
        captured = of_client(line.message) if line.client else None
        handlers, new_handler = self._reader.handlers, self._reader.new_handler
        handler = (handlers.get(captured) or new_handler(captured)) if captured else None
        if handler:
            handler(line.client, seconds)
        if handler or not what:
            return []
        return self._counted(line.client, line.message, what, seconds, line.times)

    def _inside(self, text: str) -> Line | None:
        """Return the line of OpenVPN's that follows output of a script without a newline.

        Its stamp must have the form of OpenVPN's last, and must not be older.
        """
        for line in split_inside(text):
            is_openvpns = meaning(line.message) or is_of_connection(line.client, line.message)
            is_current = shape(line.stamp) == shape(self._last_stamp) and not is_older(line.stamp, self._last_stamp)
            if is_openvpns and is_current:
                return line
        return None

    def _unreadable(self, text: str) -> Found:
        self._account(unread=1)
        return Found(Unread(text))

    def _account(self, *, read: int = 0, unread: int = 0) -> None:
        self._read += read
        self._unread += unread
        if self._read + self._unread > _LATELY:
            share = _LATELY / 2 / (self._read + self._unread)
            self._read *= share
            self._unread *= share
