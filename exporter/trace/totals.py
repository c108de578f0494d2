"""Totals by queue from the prints of queues.bt: they never fall, whatever ends, starts again or gets garbled."""

import math
import threading
from collections import Counter
from typing import Final, NamedTuple

from exporter.sysv.queues import Queues
from exporter.trace.lines import GarbledError, Lost, Scalar, Table, parse

ERRNOS: Final = ("EAGAIN", "EIDRM", "EINTR", "EINVAL", "EACCES", "EFAULT", "ENOMEM", "other")
# Upper bound in seconds, and the map that counts calls up to it (and above the one before).
WAITS: Final = (
    (1e-5, "wait_10us"),
    (1e-4, "wait_100us"),
    (1e-3, "wait_1ms"),
    (1e-2, "wait_10ms"),
    (1e-1, "wait_100ms"),
    (1.0, "wait_1s"),
    (10.0, "wait_10s"),
    (100.0, "wait_100s"),
    (math.inf, "wait_longer"),
)
_COUNTED: Final = frozenset(
    ("sent", "sent_bytes", "received", "received_bytes", "wait_ns", *ERRNOS, *(name for _, name in WAITS))
)
_SCALARS: Final = frozenset(("omitted", "untracked"))
_GATES: Final = frozenset(("active", "refused"))


class Identity(NamedTuple):
    """What outlives a queue's re-creation: its key, or for a private queue (key 0) its msqid."""

    key: int  # unsigned, as in Queues
    msqid: int  # 0 where the key says it all


class _Place:
    """One msqid: what earlier runs counted, and what this run has counted so far."""

    def __init__(self) -> None:
        self.before: Counter[str] = Counter()
        self.now: Counter[str] = Counter()

    def note(self, name: str, value: int) -> None:
        if value < self.now[name]:  # counted from nothing again: the place was given back, and taken again
            self.before[name] += self.now[name]
        self.now[name] = value

    def close(self) -> None:
        self.before += self.now
        self.now = Counter()


class Tally:
    """Reads lines in one thread, is asked for totals in another."""

    def __init__(self, most: int) -> None:
        """`most`: queues that are remembered after they are gone."""
        self._most = most
        self._lock = threading.Lock()
        self._places: dict[int, _Place] = {}
        self._gone: dict[Identity, Counter[str]] = {}
        self._keys: dict[int, int] = {}
        self._told: dict[int, int] = {}  # the keys of the last print; a queue among them may be gone already
        self._run = _Place()  # @omitted and @untracked
        self._session: int | None = None
        self._trusted = False  # whether the lines since the last @session are all of one known run
        self._present: set[int] = set()  # msqids in the gates of this print
        self._whole = False  # nothing of this print was garbled or lost
        self.namespace: int | None = None  # inode of the IPC namespace that is counted; None: nothing heard yet
        self.prints = 0
        self.sessions = 0
        self.lost = 0
        self.garbled = 0

    def hear(self, line: bytes) -> bool:
        """Take one line; True where it names a queue whose key is not known: time to `learn`."""
        with self._lock:
            try:
                said = parse(line)
            except GarbledError:
                self.garbled += 1
                self._whole = False
                # It may have been the @session of a new run: until the next one, nothing can be told apart.
                self._trusted = False
                return False
            match said:
                case Scalar("session", value):
                    self._begin(value)
                case Lost(events):
                    self.lost += events
                    self._whole = False
                case Scalar("namespace", value):
                    self.namespace = value
                case Scalar(name, value) if name in _SCALARS and self._trusted:
                    self._run.note(name, value)
                case Table(name, values) if self._trusted:
                    return self._table(name, values)
            return False

    def learn(self, queues: Queues) -> None:
        """The queues that are there now, with their keys; forget the oldest of those that are gone."""
        with self._lock:
            listed = dict(zip(queues.msqid, queues.key, strict=True))
            counted = {msqid: key for msqid, key in self._keys.items() if msqid in self._places}
            self._keys = counted | self._told | listed
            there = {identify(msqid, key) for msqid, key in listed.items()}
            surplus = [identity for identity in self._gone if identity not in there][: -self._most]
            for identity in surplus:
                del self._gone[identity]

    def totals(self) -> dict[Identity, Counter[str]]:
        """By queue, counts by the names of the maps. A msqid whose key nobody knows is left out."""
        with self._lock:
            totals = {identity: counts.copy() for identity, counts in self._gone.items()}
            for msqid, place in self._places.items():
                if msqid in self._keys:
                    identity = identify(msqid, self._keys[msqid])
                    totals.setdefault(identity, Counter()).update(place.before + place.now)
            return totals

    def uncounted(self) -> Counter[str]:
        """Calls that found no room in the maps: `omitted` (queues), `untracked` (threads)."""
        with self._lock:
            return self._run.before + self._run.now

    def _begin(self, session: int) -> None:
        """A print begins, of this run of the program or of a new one."""
        if self._whole and self._trusted and self._present:
            for msqid in self._places.keys() - self._present:
                self._retire(msqid)
        if session != self._session:
            self._session = session
            self.sessions += 1
            self._told = {}
            for place in (*self._places.values(), self._run):
                place.close()
        self._trusted = True
        self._whole = True
        self._present = set()
        self.prints += 1

    def _table(self, name: str, values: dict[int, int]) -> bool:
        if name == "key":
            self._told = values
            self._keys.update(values)
        elif name in _GATES:
            self._present |= values.keys()
            return not self._keys.keys() >= values.keys()
        elif name in _COUNTED:
            for msqid, value in values.items():
                self._places.setdefault(msqid, _Place()).note(name, value)
        return False

    def _retire(self, msqid: int) -> None:
        """A queue that is removed, and that the program has done with."""
        place = self._places.pop(msqid)
        if msqid in self._keys:
            identity = identify(msqid, self._keys[msqid])
            place.close()
            self._gone[identity] = self._gone.pop(identity, Counter()) + place.before  # to the end: the youngest


def identify(msqid: int, key: int) -> Identity:
    """Of a queue, whether it is there or was."""
    return Identity(key, 0) if key else Identity(0, msqid)
