"""Follows the children of OpenVPN's processes from their fork to their end: events in, runs of scripts out."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from exporter.process_events.attribution import Attribution
from exporter.process_events.child import (
    LATE,
    LOOKS,
    Child,
    Failure,
    Process,
    due,
    failure,
    is_told,
)
from exporter.process_events.commands import hooks_of
from exporter.process_events.executions import Execution
from exporter.process_events.messages import Exit, Fork

_SECOND: Final = 1e9  # nanoseconds


class Sink(Protocol):
    """Counts."""

    def started(self, server: str, hook: str) -> None:
        """Take a script that OpenVPN has executed."""

    def ended(self, server: str, hook: str, seconds: float, failure: Failure | None) -> None:
        """Take the end of a script that `started` was told of."""


class Tracker:
    """The state. Used by one thread at a time; times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(
        self,
        sink: Sink,
        executed: Callable[[], Sequence[Execution]],
        broken: Callable[[Process], Sequence[str]],
        replaced: Callable[[Process], Sequence[str]],
    ) -> None:
        """Track nothing yet; for the functions see Attribution."""
        self._sink = sink
        self._attribution = Attribution(executed, broken, replaced)
        self._processes: dict[int, Process] = {}
        self._children: dict[int, Child] = {}
        self._to_look_at: dict[int, Child] = {}
        self._blocked: Counter[str] = Counter()  # nanoseconds

    @property
    def processes(self) -> dict[int, Process]:
        """The OpenVPN processes that are followed, by pid."""
        return self._processes

    def are_told(self) -> bool:
        """Return whether the execution of every script of every process is reported."""
        return all(process.told_since is not None for process in self._processes.values())

    def adopt(self, process: Process, *, is_up: bool) -> None:
        """Follow an OpenVPN process, or know more of it; `is_up`: it has run its `up` script already."""
        if is_up:
            self._attribution.is_up(process.pid)
        self._processes[process.pid] = process
        for child in self._children.values():
            if child.parent.pid == process.pid:
                child.parent = process

    def release(self, pid: int, at: int) -> None:
        """Forget an OpenVPN process that has ended; its script, if one runs, goes on without anybody who waits."""
        process = self._processes.pop(pid, None)
        self._attribution.release(pid)
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
            self._children[pid] = child = Child(process, began)
            self._identify(child, words)

    def lose(self, pids: Iterable[int], now: int) -> None:
        """Forget children that are gone, as far as their ends were not seen."""
        for pid in self._children.keys() & set(pids):
            self._forget(pid, now)

    def fork(self, event: Fork) -> None:
        """Take the fork of a child."""
        process = self._processes.get(event.parent)
        if process and event.pid in self._children:
            self._children[event.pid].began = event.at  # it has been found before its report was read
        elif process:
            child = Child(process, event.at)
            child.looks = LATE if is_told(child) else 0
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
        hook = self._attribution.hook_at_end(child, event.pid, code)
        if hook is None:
            return
        if child.hook is None:
            self._sink.started(server, hook)
        spent = max(0, event.at - child.began)
        self._blocked[server] += spent
        self._sink.ended(server, hook, spent / _SECOND, failure(hook, code, number))

    def next_look(self) -> int | None:
        """Return when a child is to be looked at next; None if none is."""
        return min((due(child) for child in self._to_look_at.values()), default=None)

    def due(self, now: int) -> list[int]:
        """Return the pids of the children that are to be looked at now."""
        return [pid for pid, child in self._to_look_at.items() if due(child) <= now] if self._to_look_at else []

    def looked(self, pid: int, words: Sequence[str] | None, now: int) -> None:
        """Take a child's command line as of now; None if it is gone."""
        child = self._to_look_at.get(pid)
        if child is None:
            return
        if words is None:
            if child.gone_at is None:
                child.gone_at = now  # its end is on its way
            else:
                self._forget(pid, now)  # its end was dropped: else it would have been read since the last look
            return
        if words and tuple(words) != child.parent.words:
            del self._to_look_at[pid]
            self._identify(child, words)
            return
        child.looked_at = now - child.began
        child.looks = next((place for place, after in enumerate(LOOKS) if after > child.looked_at), None)
        if child.looks is None:
            child.looks = len(LOOKS)
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

    def _identify(self, child: Child, words: Sequence[str]) -> None:
        parent = child.parent
        child.looks = None
        hooks = hooks_of(words, parent.commands)
        if hooks:
            child.hook = self._attribution.choose(parent, hooks)
            self._sink.started(parent.server, child.hook)

    def settle(self) -> None:
        """Take that all events up to now have been given."""
        if not self._children:
            self._attribution.forget_executions()  # by somebody else
