"""OpenVPN's programs and scripts, marked so that their execution is reported where the kernel can do that."""

import contextlib
import shutil
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Final

from exporter.discovery.instance import Instance
from exporter.process_events.commands import Commands
from exporter.process_events.executions import Execution, Executions, Program
from exporter.process_events.tracker import Process

# Programs that everybody executes are not marked, so that nobody pays for that.
_COMMON: Final = frozenset(map(PurePosixPath, ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin")))
_OPENVPN: Final = "/usr/sbin/openvpn"


class Scripts:
    """What is executed; without fanotify nothing is known, and OpenVPN's children have to be looked at in time."""

    def __init__(self) -> None:
        self._starts: Executions | None = None
        self._runs: Executions | None = None
        with contextlib.suppress(OSError):
            self._starts, self._runs = Executions(), Executions()
        self._paths: set[str] = set()
        self.refresh()

    @property
    def starts(self) -> list[Executions]:
        """What is to be waited on for the start of an OpenVPN."""
        return [self._starts] if self._starts else []

    def openvpn_started(self) -> bool:
        """Return whether an OpenVPN has been executed since the last call."""
        return bool(self._starts and self._starts.read())

    def executed(self) -> list[Execution]:
        """Return the scripts that have been executed since the last call."""
        return self._runs.read() if self._runs else []

    def process(self, instance: Instance, server: str) -> Process:
        """Return what is to be known of an OpenVPN to follow its scripts, which are marked from now on."""
        process, options = instance.process, instance.options
        paths = [instance.outside(script.path) for script in options.scripts]
        scripts = tuple(
            script._replace(path=PurePosixPath(path) if path else None)
            for script, path in zip(options.scripts, paths, strict=True)
        )
        commands = Commands(scripts, complete=not options.faults, plugins=bool(options.plugins))
        programs: dict[Program, set[str]] = defaultdict(set)
        marked = 0
        for script in scripts:
            program = self._mark(script.path)
            if program:
                programs[program].add(script.hook)
                marked += 1
        told = commands.complete and marked == len(scripts) == len(programs)
        hooks = {program: frozenset(hooks) for program, hooks in programs.items()}
        return Process(process.pid, process.start_ticks, server, process.argv, commands, hooks, told)

    def refresh(self) -> None:
        """Mark programs that have been replaced since."""
        program = shutil.which("openvpn") or _OPENVPN
        if self._starts:
            self._starts.mark(program)
        for path in self._paths:
            if self._runs:
                self._runs.mark(path)

    def close(self) -> None:
        """End the reports."""
        for executions in (self._starts, self._runs):
            if executions:
                executions.close()
        self._starts = self._runs = None

    def _mark(self, path: PurePosixPath | None) -> Program | None:
        if path is None or path.parent in _COMMON or self._runs is None:
            return None
        self._paths.add(str(path))
        return self._runs.mark(str(path))
