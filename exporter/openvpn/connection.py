"""One connection as far as the log shows it, and what is counted of many."""

from collections import Counter
from typing import Final

RESULTS: Final = (
    "answered",
    "tls_failed",
    "auth_failed",
    "script_failed",
    "pool_exhausted",
    "limit",
    "lost",
)
PHASES: Final = ("tls", "auth", "script", "push")
BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
MAX_DURATION: Final = 1800.0  # seconds; what seems to take longer is a clock that was set

_SAVED: Final = ("started", "first_packet", "verified", "pool", "learned")
_SAVED_FLAGS: Final = (
    "is_in_progress", "is_answered", "is_certain", "has_session", "is_verified", "is_authenticated", "is_learned",
)  # fmt: skip
_SAVED_TEXTS: Final = ("name", "version", "platform", "cause")


class Connection:
    """One connection. Times are in seconds by OpenVPN's stamps; None if its lines have no stamp."""

    # Defaults of the class, because a connection is made for every twenty lines.
    first_packet: float | None = None
    verified: float | None = None
    pool: float | None = None
    learned: float | None = None
    is_in_progress = True  # neither answered nor refused
    is_answered = False
    is_certain = True  # False: may be a renegotiation of a connection that is not known
    has_session = False  # a line about its first packet
    is_verified = False
    is_authenticated = False
    is_learned = False
    name = ""
    version = ""
    platform = ""
    cause = ""  # why it will be refused
    prefixes: tuple[str, ...] = ()  # of its lines

    def __init__(self, address: str, started: float | None, seen: float) -> None:
        self.address = address
        self.started = started
        self.seen = seen  # by the reader's clock

    def save(self) -> list[float | bool | str | None]:
        """Return what `restored` needs, as JSON."""
        return [getattr(self, name) for name in (*_SAVED, *_SAVED_FLAGS, *_SAVED_TEXTS)]

    @classmethod
    def restored(cls, address: str, values: object) -> "Connection | None":
        """Return a connection as `save` returned it; None if the values are malformed."""
        names = (*_SAVED, *_SAVED_FLAGS, *_SAVED_TEXTS)
        if not isinstance(values, list) or len(values) != len(names):
            return None
        connection = cls(address, None, 0.0)
        for name, value in zip(names, values, strict=True):
            wanted = (float, int, type(None)) if name in _SAVED else bool if name in _SAVED_FLAGS else str
            if not isinstance(value, wanted):
                return None
            setattr(connection, name, value)
        return connection


class Durations:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)  # by bucket, not cumulative
        self.sum = 0.0

    def add(self, other: "Durations") -> None:
        """Add the durations of another histogram."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Tally:
    """What is counted of connections."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()  # of RESULTS
        self.disconnects: Counter[str] = Counter()  # of connectiontexts.DISCONNECT_REASONS
        self.verify_errors: Counter[str] = Counter()  # of connectiontexts.VERIFY_ERRORS
        self.phases = {phase: Durations() for phase in (*PHASES, "setup")}

    def add(self, other: "Tally") -> None:
        """Add the results and durations of another tally."""
        for result, count in other.results.items():
            self.results[result] += count
        for phase, durations in other.phases.items():
            if any(durations.counts):
                self.phases[phase].add(durations)
