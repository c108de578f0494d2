"""The search for OpenVPN processes: when to look, and which processes to look at closely."""

from collections.abc import Collection
from typing import Final

from exporter.process_events.procs import Processes

_MILLISECOND: Final = 1_000_000  # nanoseconds
_LOOK_EVERY: Final = 1000 * _MILLISECOND  # between looks for OpenVPN processes that have come or gone
_ALL_EVERY: Final = 10  # looks: so often all processes are looked at, in between only new ones
# After OpenVPN was executed, all processes are reported for a while, as it may go into the background. Events of those
# that are not known are kept until the new OpenVPN is, which is looked for at growing distances (reversed here).
_WIDE: Final = 300 * _MILLISECOND
_SOON: Final = tuple(distance * _MILLISECOND for distance in (128, 64, 32, 16, 8, 4, 2, 1))


class Search:
    """The schedule of looks, and what is known of processes that are no OpenVPN; times are as time.monotonic_ns()."""

    def __init__(self, processes: Processes) -> None:
        """Look at once."""
        self.next_look = 0
        self._processes = processes
        self._wide_until = 0
        self._looks = 0
        self._soon: list[int] = []  # distances of further looks
        self._others: set[int] = set()  # pids of processes that were none when they were last looked at

    @property
    def is_starting(self) -> bool:
        """Whether an OpenVPN was executed just now, so that more looks follow soon."""
        return bool(self._soon)

    def is_wide(self, now: int) -> bool:
        """Return whether all processes are to be reported."""
        return now < self._wide_until

    def restart(self) -> None:
        """Look at all processes, soon."""
        self._looks = 0
        self.next_look = 0

    def hurry(self, now: int) -> None:
        """Take that an OpenVPN was executed: look at once, and again at growing distances."""
        self._soon = list(_SOON)
        self._wide_until = now + _WIDE
        self.next_look = 0

    def schedule(self, now: int, *, all_reported: bool) -> None:
        """Set the time of the look after the one that begins now."""
        if self._soon:
            self.next_look = now + self._soon.pop()
            self._wide_until = now + _WIDE
        else:
            self.next_look = now + (_WIDE if all_reported else _LOOK_EVERY)

    def suspects(self, followed: Collection[int]) -> set[int]:
        """Return the pids of processes that may be OpenVPNs, and are not followed; at times those that are too."""
        if self._soon or self._looks % _ALL_EVERY == 0:
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
