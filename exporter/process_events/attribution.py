"""Which hook of OpenVPN's a child runs, where the script alone does not tell."""

from collections.abc import Callable, Sequence
from typing import Final

from exporter.process_events.child import NOT_EXECUTABLE, Child, Process, is_told, may_be_script
from exporter.process_events.commands import OTHER
from exporter.process_events.executions import Execution, Program

_STARTING: Final = ("up", "route-up")  # in this order


class Attribution:
    """Remembers which hooks have run and which programs were executed."""

    def __init__(
        self,
        executed: Callable[[], Sequence[Execution]],
        broken: Callable[[Process], Sequence[str]],
        replaced: Callable[[Process], Sequence[str]],
    ) -> None:
        """Remember nothing yet.

        `executed` returns the executions of programs since its last call; `broken` the hooks of the process whose
        scripts cannot be executed just now, `replaced` those whose scripts are other files than its `programs`.
        """
        self._executed = executed
        self._broken = broken
        self._replaced = replaced
        self._executions: list[Execution] = []  # of children that have not ended
        self._started: dict[int, set[str]] = {}  # by OpenVPN process: what of _STARTING ran since the last `down`

    def is_up(self, pid: int) -> None:
        """Take that an OpenVPN process has run its `up` script already."""
        self._started[pid] = set(_STARTING)

    def release(self, pid: int) -> None:
        """Forget an OpenVPN process."""
        self._started.pop(pid, None)

    def forget_executions(self) -> None:
        """Forget what was executed; called when no child is left whose it could be."""
        self._executions.clear()

    def choose(self, parent: Process, hooks: frozenset[str]) -> str:
        """Of hooks that look alike, return the one that it is."""
        hook = next(iter(hooks)) if len(hooks) == 1 else OTHER
        if hooks == {"up", "down"}:
            hook = "down" if "up" in self._started.get(parent.pid, ()) else "up"
        if hook in _STARTING:
            self._started.setdefault(parent.pid, set()).add(hook)
        elif hook == "down":
            self._started.pop(parent.pid, None)
        return hook

    def hook_at_end(self, child: Child, pid: int, code: int) -> str | None:
        """Return the hook of a child that has ended, even before its command line was read; None if it is no script."""
        parent = child.parent
        if child.hook is None and not may_be_script(child, code):
            return None
        if child.hook is None and code == NOT_EXECUTABLE and (broken := self._broken(parent)):
            return self.choose(parent, frozenset(broken))
        program = self._program(parent, pid, child.hook)
        if child.hook:
            return child.hook
        if program:
            return self.choose(parent, parent.programs[program])
        if is_told(child):
            replaced = self._replaced(parent)
            return self.choose(parent, frozenset(replaced)) if replaced else None
        hooks = {script.hook for script in parent.commands.scripts} or {OTHER}
        for first in _STARTING if parent.commands.server else ():
            if first in hooks - self._started.get(parent.pid, set()):
                return self.choose(parent, frozenset({first}))
        return self.choose(parent, frozenset(hooks))

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
