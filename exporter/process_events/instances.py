"""OpenVPN's programs and scripts, marked so that their execution is reported where the kernel can do that."""

import contextlib
import os
import select
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from exporter.discovery.finder import read_text
from exporter.discovery.instance import Instance
from exporter.discovery.merge import read_options
from exporter.process_events.child import Process
from exporter.process_events.commands import Commands
from exporter.process_events.executions import Execution, Executions, Program

# Programs that everybody executes are not marked, so that nobody pays for that.
_COMMON: Final = frozenset(map(PurePosixPath, ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin")))
_OPENVPN: Final = "/usr/sbin/openvpn"


class _Marked(NamedTuple):
    """A script's file, and since when its executions are reported, in nanoseconds of CLOCK_MONOTONIC."""

    program: Program
    since: int


class Scripts:
    """What is executed; without fanotify nothing is known, and OpenVPN's children have to be looked at in time."""

    def __init__(self) -> None:
        self._starts: Executions | None = None
        self._runs: Executions | None = None
        with contextlib.suppress(OSError):
            self._starts, self._runs = Executions(), Executions()
        self._marked: dict[str, _Marked] = {}  # by path
        self._is_outdated = False  # what `process` returned: a script has been replaced since
        self.refresh()

    @property
    def starts(self) -> list[Executions]:
        """What is to be waited on for the start of an OpenVPN."""
        return [self._starts] if self._starts else []

    def is_any_starting(self) -> bool:
        """Return whether an OpenVPN has been executed that `openvpn_started` has not told of."""
        return bool(select.select(self.starts, [], [], 0)[0])

    def openvpn_started(self) -> bool:
        """Return whether an OpenVPN has been executed since the last call."""
        return bool(self._starts and self._starts.read())

    def executed(self) -> list[Execution]:
        """Return the scripts that have been executed since the last call."""
        return self._runs.read() if self._runs else []

    def prepare(self, words: Sequence[str], folder: str | None) -> None:
        """Mark the scripts of an OpenVPN that has just started, before all is known of it: its `up` is about to run."""
        options = read_options(words, PurePosixPath(folder) if folder else None, partial(read_text, Path("/")))
        for script in options.scripts:
            self._mark(script.path)

    def process(self, instance: Instance, server: str) -> Process:
        """Return what is to be known of an OpenVPN to follow its scripts, which are marked from now on."""
        process, options = instance.process, instance.options
        paths = [instance.outside(script.path) for script in options.scripts]
        scripts = tuple(
            script._replace(path=PurePosixPath(path) if path else None)
            for script, path in zip(options.scripts, paths, strict=True)
        )
        commands = Commands(scripts, not options.faults, bool(options.plugins), options.mode == "server")
        programs: dict[Program, set[str]] = defaultdict(set)
        marked = 0
        for script in scripts:
            program = self._mark(script.path)
            if program:
                programs[program].add(script.hook)
                marked += 1
        told = commands.complete and marked == len(scripts) == len(programs)
        since = max((self._marked[str(script.path)].since for script in scripts), default=0) if told else None
        hooks = {program: frozenset(hooks) for program, hooks in programs.items()}
        return Process(process.pid, process.start_ticks, server, process.argv, commands, hooks, since)

    def replaced(self, process: Process) -> list[str]:
        """Return the hooks whose scripts are other files than those whose executions are reported as the process's."""
        return [
            script.hook
            for script in process.commands.scripts
            if (program := self._mark(script.path)) and program not in process.programs
        ]

    def refresh(self) -> bool:
        """Mark programs that have been replaced since; return whether one was a script."""
        program = shutil.which("openvpn") or _OPENVPN
        if self._starts:
            self._starts.mark(program)
        for path in self._marked:
            self._mark(PurePosixPath(path))
        is_outdated, self._is_outdated = self._is_outdated, False
        return is_outdated

    def close(self) -> None:
        """End the reports."""
        for executions in (self._starts, self._runs):
            if executions:
                executions.close()
        self._starts = self._runs = None

    def _mark(self, path: PurePosixPath | None) -> Program | None:
        if path is None or path.parent in _COMMON or self._runs is None:
            return None
        program = self._runs.mark(str(path))
        known = self._marked.get(str(path))
        if program and (known is None or known.program != program):
            self._is_outdated |= known is not None
            self._marked[str(path)] = _Marked(program, time.monotonic_ns())
        return program


def broken(process: Process) -> list[str]:
    """Return the hooks whose scripts are not there, or may not be executed."""
    return [script.hook for script in process.commands.scripts if script.path and not os.access(script.path, os.X_OK)]
