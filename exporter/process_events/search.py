"""The search for OpenVPN processes: when to look, and which processes to look at closely."""

from collections.abc import Collection
from typing import Final

from exporter.process_events.procs import Processes

_MILLISECOND: Final = 1_000_000  # nanoseconds
_LOOK_EVERY: Final = 1000 * _MILLISECOND  # between looks for OpenVPN processes that have come or gone
_ALL_EVERY: Final = 10  # looks: so often all processes are looked at, in between only new ones
# After OpenVPN was executed, it is looked for at growing distances (reversed here).
_SOON: Final = tuple(distance * _MILLISECOND for distance in (128, 64, 32, 16, 8, 4, 2, 1))


class Search:
    """The schedule of looks, and what is known of processes that are no OpenVPN; times are as time.monotonic_ns()."""

    def __init__(self, processes: Processes) -> None:
        """Look at once."""
        self.next_look = 0
        self._processes = processes
        self._looks = 0
        self.is_starting = False  # an OpenVPN was executed just now, and looks have followed one another soon since
        self.started_at = 0  # when that was noticed
        self._soon: list[int] = []  # distances of further looks
        self._others: set[int] = set()  # pids of processes that were none when they were last looked at

    def restart(self) -> None:
        """Look at all processes, soon."""
        self._looks = 0
        self.next_look = 0

    def hurry(self, now: int) -> None:
        """Take that an OpenVPN was executed: look at once, and again at growing distances."""
        self._soon = list(_SOON)
        self.is_starting = True
        self.started_at = now
        self.next_look = 0

    def schedule(self, now: int) -> None:
        """Set the time of the look after the one that begins now."""
        self.is_starting = bool(self._soon)
        self.next_look = now + (self._soon.pop() if self._soon else _LOOK_EVERY)

    def suspects(self, followed: Collection[int]) -> set[int]:
        """Return the pids of processes that may be OpenVPNs, and are not followed; at times those that are too."""
        if self.is_starting or self._looks % _ALL_EVERY == 0:
            self._others.clear()
        known = set(followed) if self._looks % _ALL_EVERY else set()
        self._looks += 1
        pids = set(self._processes.pids())
        self._others &= pids
        unknown = pids - self._others - known
        suspects = {pid for pid in unknown if _may_be_openvpn(self._processes.name(pid))}
        self._others |= unknown - suspects
        return suspects

    def rule_out(self, pids: Collection[int]) -> None:
        """Take that these are no OpenVPNs that are followed."""
        self._others.update(pids)


def _may_be_openvpn(name: str | None) -> bool:
    return name is not None and name.startswith("openvpn") and not name.startswith("openvpn-mq")
