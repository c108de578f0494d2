"""Totals per queue from the prints of queues.bt; they never fall, whatever ends, restarts or is garbled."""

import math
import threading
from collections import Counter
from typing import Final, NamedTuple

from exporter.sysv.queues import Queues
from exporter.trace.lines import GarbledError, Lost, Scalar, Table, parse_line

ERRNOS: Final = ("EAGAIN", "EIDRM", "EINTR", "EINVAL", "EACCES", "EFAULT", "ENOMEM", "other")
# Upper bound in seconds, and the map that counts the calls up to it (and above the previous one).
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
    ("sent_bytes", "received", "received_bytes", "wait_ns", *ERRNOS, *(name for _, name in WAITS))
)
_WAITED: Final = ("EAGAIN", "EIDRM", "EINTR")  # failures that are in the maps of WAITS, as successful sends are
_UNCOUNTED: Final = frozenset(("omitted", "untracked"))
_END: Final = "untracked"  # the last line of a print
_PRESENCE: Final = frozenset(("active", "refused"))


class Identity(NamedTuple):
    """What outlives a queue's re-creation: its key, or for a private queue (key 0) its msqid."""

    key: int  # unsigned, as in Queues
    msqid: int  # 0 if the key identifies it


class _QueueTotals:
    """The counts of one msqid: of earlier runs, and of this run so far."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._run: Counter[str] = Counter()
        self._sent = 0

    def set(self, name: str, value: int) -> None:
        """Set what this run has counted."""
        if value < self._run[name]:  # counted from 0 again: the place was given back and taken again
            self._ended[name] += self._run[name]
        self._run[name] = value

    def end_run(self) -> None:
        self._ended += self._run
        self._run = Counter()

    def totals(self) -> Counter[str]:
        """Return the counts by the names of the maps, and `sent`, which the program does not count."""
        totals = self._ended + self._run
        waited = sum(totals[name] for _, name in WAITS) - sum(totals[name] for name in _WAITED)
        self._sent = max(self._sent, waited)  # a call between the prints of two maps can make the difference too small
        totals["sent"] = self._sent
        return totals


class TraceTotals:
    """Is fed lines by one thread and asked for totals by another.

    A print takes effect as a whole, with its last line: of one that is garbled or cut off nothing is used, and as the
    maps are cumulative, nothing is lost either.
    """

    def __init__(self, max_queues: int) -> None:
        """`max_queues`: queues that are remembered after they are gone."""
        self._max_queues = max_queues
        self._lock = threading.Lock()
        self._queues: dict[int, _QueueTotals] = {}  # by msqid
        self._gone: dict[Identity, Counter[str]] = {}
        self._keys: dict[int, int] = {}
        self._printed_keys: dict[int, int] = {}  # of the last print; a queue among them may be gone already
        self._uncounted = _QueueTotals()  # the maps of _UNCOUNTED
        self._session: int | None = None
        self._print: dict[str, dict[int, int]] | None = None  # tables of the print so far; None: it cannot be used
        self.namespace: int | None = None  # inode of the IPC namespace that is counted; None: no print yet
        self.prints = 0
        self.sessions = 0
        self.lost = 0
        self.garbled = 0

    def feed(self, line: bytes) -> bool:
        """Take one line; return True if it names a queue whose key is not known, so that `update_keys` is due."""
        with self._lock:
            try:
                parsed = parse_line(line)
            except GarbledError:
                self.garbled += 1
                self._print = None  # the line may have been the @session of a new run
                return False
            match parsed:
                case Scalar("session", value):
                    self._start_print(value)
                case Lost(events):
                    self.lost += events
                    self._print = None
                case Scalar("namespace", value):
                    self.namespace = value
                case Scalar(name, value) if name in _UNCOUNTED and self._print is not None:
                    self._uncounted.set(name, value)
                    if name == _END:
                        self._end_print(self._print)
                case Table(name, values) if self._print is not None:
                    self._print[name] = values
                    return self._note_keys(name, values)
            return False

    def update_keys(self, queues: Queues) -> None:
        """Take the keys of the queues that exist now; forget the oldest of those that are gone."""
        with self._lock:
            listed = dict(zip(queues.msqid, queues.key, strict=True))
            counted = {msqid: key for msqid, key in self._keys.items() if msqid in self._queues}
            self._keys = counted | self._printed_keys | listed
            existing = {identify(msqid, key) for msqid, key in listed.items()}
            surplus = [identity for identity in self._gone if identity not in existing][: -self._max_queues]
            for identity in surplus:
                del self._gone[identity]

    def totals(self) -> dict[Identity, Counter[str]]:
        """Return the counts per queue by the names of the maps. A msqid whose key is not known is left out."""
        with self._lock:
            totals = {identity: counts.copy() for identity, counts in self._gone.items()}
            for msqid, queue in self._queues.items():
                if msqid in self._keys:
                    identity = identify(msqid, self._keys[msqid])
                    totals.setdefault(identity, Counter()).update(queue.totals())
            return totals

    def uncounted(self) -> Counter[str]:
        """Return the calls that found no room in the maps: `omitted` (queues), `untracked` (threads)."""
        with self._lock:
            return self._uncounted.totals()

    def _start_print(self, session: int) -> None:
        """Start a print, of this run of the program or of a new one."""
        if session != self._session:
            self._session = session
            self.sessions += 1
            self._printed_keys = {}
            for queue in (*self._queues.values(), self._uncounted):
                queue.end_run()
        self._print = {}
        self.prints += 1

    def _end_print(self, tables: dict[str, dict[int, int]]) -> None:
        """Use all that was printed since _start_print."""
        for name, values in tables.items():
            if name in _COUNTED:
                for msqid, value in values.items():
                    self._queues.setdefault(msqid, _QueueTotals()).set(name, value)
        present = {msqid for name in _PRESENCE for msqid in tables.get(name, ())}
        if present:
            for msqid in self._queues.keys() - present:
                self._archive(msqid)
        self._print = None

    def _note_keys(self, name: str, values: dict[int, int]) -> bool:
        if name == "key":
            self._printed_keys = values
            self._keys.update(values)
        return name in _PRESENCE and not self._keys.keys() >= values.keys()

    def _archive(self, msqid: int) -> None:
        """Keep the totals of a queue that was removed and that bpftrace has dropped."""
        queue = self._queues.pop(msqid)
        if msqid in self._keys:
            identity = identify(msqid, self._keys[msqid])
            self._gone[identity] = self._gone.pop(identity, Counter()) + queue.totals()  # to the end: the youngest


def identify(msqid: int, key: int) -> Identity:
    """Return the identity of a queue, whether it still exists or not."""
    return Identity(key, 0) if key else Identity(0, msqid)
