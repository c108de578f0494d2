"""Which lines of a log are OpenVPN's own, and what they mean.

Scripts print into the same log. OpenVPN either stamps all of its lines or none, and whatever carries the log (syslog, a
container runtime) puts its prefix in front of all of them; so if OpenVPN's lines have such a mark, a line without it is
a script's. Whether they have it is learned from the lines that only OpenVPN writes, and learned anew all the time: a
restart may change it, and one dated line of a script proves nothing. While it is in doubt, every line counts by its own
form, with or without the mark.
"""

import re
from typing import Final, NamedTuple

from exporter.openvpn.logline import Line, split, split_inside, times_repeated
from exporter.openvpn.messages import Meaning, Notice, ends_with_message, meaning, queue_kind


class QueueLine(NamedTuple):
    """A line, of OpenVPN or of a script, that speaks of a message queue."""

    kind: str  # of messages.QUEUE_KINDS


class Unread(NamedTuple):
    """A line with OpenVPN's own text behind a prefix that is not known."""

    line: str


class Found(NamedTuple):
    """What a line means, and for how many such lines it stands."""

    meaning: Meaning | QueueLine | Unread
    times: int = 1


# Each message that `meaning` knows contains one of these, and so does each line that `queue_kind` knows. Looking for
# one after the other in a whole batch is several times faster than a single regular expression for all of them.
_HINTS: Final = (
    b"Failed running ",
    b"PLUGIN_CALL: plugin ",
    b"FAILED",
    b" --",
    b"Error: ",
    b"Exiting due ",
    b"would exceed ",
    b"dropped",
    b"essage queue",
    b"essage Queue",
    b"ESSAGE QUEUE",
    b"OpenVPN ",
    b"Initialization Seq",
    b"] Peer Connection",
    b"message repeated",
)
_LATELY: Final = 100.0  # lines
_MIN_UNREAD: Final = 3  # lines
_MAX_REMEMBERED: Final = 4096  # bytes of the last line of a batch


class _Mark:
    """Something that OpenVPN's lines have in front, or have not, as far as the lines seen so far tell."""

    _CERTAIN: Final = 8

    def __init__(self) -> None:
        self._score = 0  # above 0: they have it

    @property
    def expected(self) -> bool:
        """Return whether a line without it is no line of OpenVPN's."""
        return self._score > 0

    def learn(self, *, present: bool, process_started: bool) -> None:
        """Take a line into account that only OpenVPN writes. A process that starts may do otherwise than the last."""
        if process_started and not present:
            self._score = min(self._score, 0)
        # A script that repeats such a line, without the mark, is a rarer thing than the line itself.
        self._score = min(self._score + 2, self._CERTAIN) if present else max(self._score - 1, -self._CERTAIN)


class LogParser:
    """Turns the lines of one server's log into meanings, batch by batch."""

    def __init__(self) -> None:
        self._carrier = _Mark()
        self._stamp = _Mark()
        self._last_stamp = ""  # of a line of OpenVPN's
        self._last_line = b""  # of the batch before
        self._read = self._unread = 0.0  # lines that only OpenVPN writes, lately

    def feed(self, batch: bytes) -> list[Found]:
        """Return what the lines mean that OpenVPN or its scripts wrote, in their order.

        `batch` is whole lines, each with its newline.
        """
        found: list[Found] = []
        for start, end in candidates(batch):
            text = batch[start:end].decode(errors="replace")
            times = times_repeated(text)
            if times:
                before = batch[:start].removesuffix(b"\n").rpartition(b"\n")[2] if start else self._last_line
                found += [item._replace(times=times) for item in self._meanings(before.decode(errors="replace"))]
            else:
                found += self._meanings(text)
        self._last_line = batch[-_MAX_REMEMBERED:].removesuffix(b"\n").rpartition(b"\n")[2]
        return found

    def feed_output(self, batch: bytes) -> list[Found]:
        """Return what the lines mean that some other program wrote, according to the journal."""
        found = []
        for start, end in candidates(batch):
            text = batch[start:end].decode(errors="replace")
            kind = queue_kind(text)
            if kind:
                found.append(Found(QueueLine(kind)))
            if isinstance(meaning(split(text).message), Notice):
                found.append(self._unreadable(text))
        return found

    @property
    def is_unreadable(self) -> bool:
        """Return whether most of OpenVPN's lines have been unreadable lately."""
        return self._unread >= _MIN_UNREAD and self._unread > self._read

    def _meanings(self, text: str) -> list[Found]:
        line = split(text)
        kind = queue_kind(text)
        found = [Found(QueueLine(kind), line.times)] if kind else []
        own = self._own(line, text)
        if own:
            line, what = own
            self._account(read=1)
            if not isinstance(what, Notice):
                found.append(Found(what, line.times))
        elif not (line.carrier or line.stamp or line.client) and ends_with_message(text) and not meaning(text):
            found.append(self._unreadable(text))
        return found

    def _own(self, line: Line, text: str) -> tuple[Line, Meaning] | None:
        """Return OpenVPN's line and its meaning; None if it has none, or if a script wrote it."""
        what = meaning(line.message)
        misses = (self._stamp.expected and not line.stamp) or (self._carrier.expected and not line.carrier)
        if what:
            started = isinstance(what, Notice) and what.started
            self._stamp.learn(present=bool(line.stamp), process_started=started)
            self._carrier.learn(present=bool(line.carrier), process_started=started)
            if not misses or started:
                self._last_stamp = line.stamp or self._last_stamp
                return line, what
        if misses and not line.stamp:
            return self._own_inside(text)
        return None

    def _own_inside(self, text: str) -> tuple[Line, Meaning] | None:
        """Return the line of OpenVPN's that follows output of a script without a newline.

        Its stamp must have the form of OpenVPN's last, and must not be older.
        """
        for line in split_inside(text):
            what = meaning(line.message)
            if what and _form(line.stamp) == _form(self._last_stamp) and not _is_older(line.stamp, self._last_stamp):
                self._last_stamp = line.stamp
                return line, what
        return None

    def _unreadable(self, text: str) -> Found:
        self._account(unread=1)
        return Found(Unread(text))

    def _account(self, *, read: int = 0, unread: int = 0) -> None:
        self._read += read
        self._unread += unread
        if self._read + self._unread > _LATELY:
            self._read /= 2
            self._unread /= 2


def candidates(batch: bytes) -> list[tuple[int, int]]:
    """Return where the lines start and end that may matter, in their order; `batch` is whole lines."""
    found = set()
    for hint in _HINTS:
        at = batch.find(hint)
        while at >= 0:
            end = batch.index(b"\n", at)
            found.add((batch.rfind(b"\n", 0, at) + 1, end))
            at = batch.find(hint, end)
    return sorted(found)


def _form(stamp: str) -> str:
    return re.sub(r"[0-9a-f]+$|[0-9]+", "0", stamp) if stamp[:1].isdigit() else stamp[3:4]


def _is_older(stamp: str, other: str) -> bool:
    """Return whether a stamp is older than another of its form; False for those before 2.5, which do not sort."""
    return stamp[:1].isdigit() and len(stamp) == len(other) and stamp < other
