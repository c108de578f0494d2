"""Follows the children of OpenVPN's processes from their fork to their end: events in, runs of scripts out."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from exporter.process_events.commands import OTHER, Commands, hooks_of
from exporter.process_events.executions import Execution, Program
from exporter.process_events.messages import Exit, Fork

Failure = Literal["exit_status", "signal", "not_executable"]

# When a child is looked at, in nanoseconds after its fork. OpenVPN executes the script within a millisecond, and the
# shortest script then runs for a third of one; a child that has executed nothing by the last look is a plugin's, or
# OpenVPN itself, gone into the background.
_LOOKS: Final = tuple(
    int(milliseconds * 1e6) for milliseconds in (0.25, 0.45, 0.65, 0.9, 1.2, 1.6, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)
)
_LATE: Final = 8  # the place of the first look if executions are reported: it is for scripts that take their time
_SURE: Final = 16_000_000  # nanoseconds after the fork: what has not executed anything by then is no script
_NOT_EXECUTABLE: Final = 127  # what OpenVPN's child ends with if the script cannot be executed
_DEFERRED: Final = 2
_SECOND: Final = 1e9  # nanoseconds


class Process(NamedTuple):
    """An OpenVPN process."""

    pid: int
    start_ticks: int  # when it began, in clock ticks after boot; 0: not yet known
    server: str
    words: tuple[str, ...]  # its command line
    commands: Commands
    programs: Mapping[Program, frozenset[str]]  # the hooks of each script whose execution is reported
    told: bool  # whether every script's execution is reported, and tells its hook


class Sink(Protocol):
    """Counts."""

    def started(self, server: str, hook: str) -> None:
        """Take a script that OpenVPN has executed."""

    def ended(self, server: str, hook: str, seconds: float, failure: Failure | None) -> None:
        """Take the end of a script that `started` was told of."""


@dataclass(slots=True)
class _Child:
    """A process that OpenVPN has forked."""

    parent: Process
    began: int  # nanoseconds of CLOCK_MONOTONIC
    hook: str | None = None  # None: not known, or no script
    looks: int | None = 0  # so many were in vain; None: none is needed any more
    looked_at: int = 0  # nanoseconds after the fork, when it had not executed anything


class Tracker:
    """The state. Used by one thread at a time; times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(
        self, sink: Sink, executed: Callable[[], Sequence[Execution]], broken: Callable[[Process], Sequence[str]]
    ) -> None:
        """Track nothing yet.

        `executed` returns the executions of programs since its last call; `broken` the hooks of the process whose
        scripts cannot be executed just now.
        """
        self._sink = sink
        self._executed = executed
        self._broken = broken
        self._executions: list[Execution] = []  # of children that have not ended
        self._processes: dict[int, Process] = {}
        self._children: dict[int, _Child] = {}
        self._to_look_at: dict[int, _Child] = {}
        self._up: set[int] = set()  # pids of OpenVPN processes whose last `up` or `down` was `up`
        self._blocked: Counter[str] = Counter()  # nanoseconds

    @property
    def processes(self) -> dict[int, Process]:
        """The OpenVPN processes that are followed, by pid."""
        return self._processes

    def adopt(self, process: Process, *, is_up: bool) -> None:
        """Follow an OpenVPN process, or know more of it; `is_up`: it has run its `up` script already."""
        if is_up:
            self._up.add(process.pid)
        self._processes[process.pid] = process
        for child in self._children.values():
            if child.parent.pid == process.pid:
                child.parent = process

    def release(self, pid: int, at: int) -> None:
        """Forget an OpenVPN process that has ended; its script, if one runs, goes on without anybody who waits."""
        process = self._processes.pop(pid, None)
        self._up.discard(pid)
        if process is None:
            return
        for child_pid, child in [item for item in self._children.items() if item[1].parent.pid == pid]:
            self._forget(child_pid, at)
            if child.hook is None and child.looks is not None:
                # It has executed nothing: OpenVPN goes on in the background under another pid, as by --daemon.
                self._processes[child_pid] = process._replace(pid=child_pid, start_ticks=0)

    def found(self, parent: int, pid: int, words: Sequence[str], began: int) -> None:
        """Take a child whose fork was not seen."""
        process = self._processes.get(parent)
        if process and pid not in self._children and tuple(words) != process.words:
            self._children[pid] = child = _Child(process, began)
            self._identify(child, words)

    def lose(self, pids: Iterable[int], now: int) -> None:
        """Forget children that are gone and whose ends were not seen."""
        for pid in pids:
            self._forget(pid, now)

    def fork(self, event: Fork) -> None:
        """Take the fork of a child."""
        process = self._processes.get(event.parent)
        if process:
            child = _Child(process, event.at, looks=_LATE if process.told else 0)
            self._children[event.pid] = self._to_look_at[event.pid] = child

    def exit(self, event: Exit) -> None:
        """Take the end of a child, or of an OpenVPN process."""
        child = self._children.pop(event.pid, None)
        if child is None:
            self.release(event.pid, event.at)
            return
        self._to_look_at.pop(event.pid, None)
        code, number = event.status >> 8 & 0xFF, event.status & 0x7F
        server = child.parent.server
        hook = self._hook_at_end(child, event.pid, code)
        if hook is None:
            return
        if child.hook is None:
            self._sink.started(server, hook)
        spent = max(0, event.at - child.began)
        self._blocked[server] += spent
        self._sink.ended(server, hook, spent / _SECOND, _failure(hook, code, number))

    def next_look(self) -> int | None:
        """Return when a child is to be looked at next; None if none is."""
        return min((_due(child) for child in self._to_look_at.values()), default=None)

    def due(self, now: int) -> list[int]:
        """Return the pids of the children that are to be looked at now."""
        return [pid for pid, child in self._to_look_at.items() if _due(child) <= now] if self._to_look_at else []

    def looked(self, pid: int, words: Sequence[str] | None, now: int) -> None:
        """Take a child's command line as of now; None if it is gone."""
        child = self._to_look_at.get(pid)
        if child is None or words is None:
            if child:
                child.looks = len(_LOOKS) - 1  # its end is on its way
            return
        if words and tuple(words) != child.parent.words:
            del self._to_look_at[pid]
            self._identify(child, words)
            return
        child.looked_at = now - child.began
        child.looks = next((place for place, after in enumerate(_LOOKS) if after > child.looked_at), None)
        if child.looks is None:
            child.looks = len(_LOOKS)
            del self._to_look_at[pid]

    def children(self) -> list[int]:
        """Return the pids of all children that are followed."""
        return list(self._children)

    def running(self) -> Counter[tuple[str, str]]:
        """Return how many scripts run, by server and hook."""
        return Counter((child.parent.server, child.hook) for child in self._children.values() if child.hook)

    def blocked(self, now: int) -> dict[str, float]:
        """Return for how many seconds OpenVPN has waited for scripts, by server; of scripts that run, until now."""
        total = Counter(self._blocked)
        for child in self._children.values():
            if child.hook:
                total[child.parent.server] += max(0, now - child.began)
        return {server: spent / _SECOND for server, spent in total.items()}

    def _forget(self, pid: int, at: int) -> None:
        child = self._children.pop(pid)
        self._to_look_at.pop(pid, None)
        if child.hook:
            self._blocked[child.parent.server] += max(0, at - child.began)

    def _identify(self, child: _Child, words: Sequence[str]) -> None:
        parent = child.parent
        child.looks = None
        hooks = hooks_of(words, parent.commands)
        if hooks:
            child.hook = self._choose(parent, hooks)
            self._sink.started(parent.server, child.hook)

    def _choose(self, parent: Process, hooks: frozenset[str]) -> str:
        """Of hooks that look alike, return the one that it is."""
        hook = next(iter(hooks)) if len(hooks) == 1 else OTHER
        if hooks == {"up", "down"}:
            hook = "down" if parent.pid in self._up else "up"
        if hook == "up":
            self._up.add(parent.pid)
        elif hook == "down":
            self._up.discard(parent.pid)
        return hook

    def _hook_at_end(self, child: _Child, pid: int, code: int) -> str | None:
        """Return the hook of a child that has ended, even before its command line was read; None if it is no script."""
        parent = child.parent
        if child.hook is None and not _may_be_script(child, code):
            return None
        if child.hook is None and code == _NOT_EXECUTABLE and (broken := self._broken(parent)):
            return self._choose(parent, frozenset(broken))
        program = self._program(parent, pid, child.hook)
        if child.hook:
            return child.hook
        if program:
            return self._choose(parent, parent.programs[program])
        if parent.told:
            return None
        return self._choose(parent, frozenset(script.hook for script in parent.commands.scripts) or frozenset({OTHER}))

    def _program(self, parent: Process, pid: int, hook: str | None) -> Program | None:
        """Return what a child has executed, of the scripts; `hook` if that is known."""
        if not parent.programs:
            return None
        self._executions += self._executed()
        for place, execution in enumerate(self._executions):
            hooks = parent.programs.get(execution.program)
            # A process executes one after the other, and its children's ends are reported in their order.
            if hooks and execution.pid in (0, pid) and (hook is None or hook in hooks):
                del self._executions[place]
                return execution.program
        return None

    def settle(self) -> None:
        """Take that all events up to now have been given."""
        if not self._children:
            self._executions.clear()  # executed by somebody else


def _due(child: _Child) -> int:
    return child.began + _LOOKS[child.looks or 0]


def _may_be_script(child: _Child, code: int) -> bool:
    """Return whether a child that has ended before it was seen to execute anything may have been a script."""
    commands = child.parent.commands
    if child.looks is None or (commands.complete and not commands.scripts):
        return False
    return child.parent.told or code == _NOT_EXECUTABLE or child.looked_at < _SURE


def _failure(hook: str, code: int, number: int) -> Failure | None:
    if number:
        return "signal"
    if code == 0 or (code == _DEFERRED and hook == "auth-user-pass-verify"):
        return None
    return "not_executable" if code == _NOT_EXECUTABLE else "exit_status"
