"""One child of OpenVPN's, from its fork on: when to look at it, whether it is a script, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from exporter.process_events.commands import Commands
from exporter.process_events.executions import Program

Failure = Literal["exit_status", "signal", "not_executable"]

# When a child is looked at, in nanoseconds after its fork. OpenVPN executes the script within a millisecond, and the
# shortest script then runs for a third of one; a child that has executed nothing by the last look is a plugin's, or
# OpenVPN itself, gone into the background.
LOOKS: Final = tuple(
    int(milliseconds * 1e6) for milliseconds in (0.25, 0.45, 0.65, 0.9, 1.2, 1.6, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)
)
LATE: Final = 8  # the place of the first look if executions are reported: it is for scripts that take their time
_SURE: Final = 16_000_000  # nanoseconds after the fork: what has not executed anything by then is no script
# Nanoseconds. On a busy host, OpenVPN may collect a child before the kernel comes to report its end.
_END_WITHIN: Final = 2_000_000_000
NOT_EXECUTABLE: Final = 127  # what OpenVPN's child ends with if the script cannot be executed
_DEFERRED: Final = 2


class Process(NamedTuple):
    """An OpenVPN process."""

    pid: int
    start_ticks: int  # when it began, in clock ticks after boot; 0: not yet known
    server: str
    words: tuple[str, ...]  # its command line
    commands: Commands
    programs: Mapping[Program, frozenset[str]]  # the hooks of each script whose execution is reported
    told_since: int | None  # from when on the execution of every script is reported and tells its hook; None: never


@dataclass(slots=True)
class Child:
    """A process that OpenVPN has forked."""

    parent: Process
    began: int  # nanoseconds of CLOCK_MONOTONIC
    hook: str | None = None  # None: not known, or no script
    looks: int | None = 0  # so many were in vain; None: none is needed any more
    looked_at: int = 0  # nanoseconds after the fork, when it had not executed anything
    gone_at: int | None = None  # when it was looked at and was gone, though its end had not been reported


def due(child: Child) -> int:
    """Return when the child is to be looked at next."""
    if child.gone_at is not None:
        return child.gone_at + _END_WITHIN
    return child.began + LOOKS[child.looks or 0]


def may_be_script(child: Child, code: int) -> bool:
    """Return whether a child that has ended before it was seen to execute anything may have been a script."""
    commands = child.parent.commands
    if child.looks is None or (commands.complete and not commands.scripts):
        return False
    return is_told(child) or code == NOT_EXECUTABLE or child.looked_at < _SURE


def is_told(child: Child) -> bool:
    """Return whether there was a report if the child has executed a script."""
    return child.parent.told_since is not None and child.began >= child.parent.told_since


def failure(hook: str, code: int, number: int) -> Failure | None:
    """Return how a script failed, by its exit status and the signal that ended it."""
    if number:
        return "signal"
    if code == 0 or (code == _DEFERRED and hook == "auth-user-pass-verify"):
        return None
    return "not_executable" if code == NOT_EXECUTABLE else "exit_status"
