"""What a process has done since its start; events are made by hand, in their order."""

from collections.abc import Sequence

import pytest

from exporter.process_events.messages import Exec, Exit, Fork
from exporter.process_events.recent import Event, since_start

SHELL, OPENVPN = 50, 100
NOTICED = 100
FORK = Fork(1, SHELL, OPENVPN)
EXEC = Exec(2, OPENVPN)
UP: list[Event] = [Fork(3, OPENVPN, 7), Exec(4, 7), Exit(5, OPENVPN, 7, 0)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FORK, EXEC, *UP], [UP[0], UP[2]]),
        ([EXEC, *UP], [UP[0], UP[2]]),  # a shell, long since, in whose place OpenVPN runs
        ([FORK, *UP], [UP[0], UP[2]]),  # an OpenVPN that has gone into the background
        (UP, []),  # one that began before the reports did
        ([FORK, *UP, Exec(6, OPENVPN)], []),  # a shell's
        ([FORK, UP[0], Exec(6, OPENVPN), UP[2]], []),
        ([FORK, EXEC, Fork(3, SHELL, 8), Exec(3, 8), UP[0], Exit(5, SHELL, 8, 1)], [UP[0]]),  # another's
        ([FORK, EXEC, UP[0], Exit(5, 0, 7, 9)], [UP[0], Exit(5, 0, 7, 9)]),  # OpenVPN was faster than the kernel
        ([FORK, EXEC, UP[0], Exit(5, SHELL, OPENVPN, 0)], [UP[0], Exit(5, SHELL, OPENVPN, 0)]),
        ([FORK, EXEC, *UP, Exit(8, SHELL, 7, 1)], [UP[0], UP[2]]),  # its pid was another's then
    ],
)
def test_since_start(events: Sequence[Event], expected: Sequence[Event]) -> None:
    assert since_start(events, OPENVPN, NOTICED) == expected


def test_since_a_start_whose_report_was_dropped() -> None:
    """What it did before the start was noticed may have been what it was before; of what it did later, all counts."""
    assert since_start(UP, OPENVPN, 4) == []
    assert since_start(UP, OPENVPN, 3) == [UP[0], UP[2]]
    assert since_start([*UP, EXEC._replace(at=6)], OPENVPN, 3) == []
