"""Run the script and wait for its end, within the time limit if there is one."""

import _signal  # type: ignore[import-not-found]  # signal's own core, without stubs; signal imports enum: 5 ms
import errno
import os
import time

NOT_EXECUTABLE = 127  # the status of a shell, of env and of OpenVPN's own child if there is nothing to execute
_TIMED_OUT = 124  # as timeout(1) has it
_GRACE = 2.0  # seconds from TERM to KILL, and from KILL to giving up
_FORWARDED = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2)


class ScriptResult:
    """How a script ended."""

    def __init__(self, result: str, *, exit_status: int = 0, signal: int = 0, seconds: float | None = None) -> None:
        self.result = result  # ok, deferred, exit_status, not_executable, signal, timeout
        self.exit_status = exit_status
        self.signal = signal  # that ended it; 0 = none
        self.seconds = seconds  # None: none ran


class NoProcessError(Exception):
    """The process limit is reached; the script can only run by replacing the hook (see `replace`)."""


class _StuckError(Exception):
    """The script outlived SIGKILL, or runs as a user whose processes the hook may not kill."""


def replace(script: list[bytes], environment: dict[bytes, bytes], timeout: float | None) -> ScriptResult:
    """Become the script; return only if it cannot be executed.

    The timer outlives the change: its SIGALRM then ends the script.
    """
    for number in (_signal.SIGXFSZ, *_FORWARDED):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.setitimer(_signal.ITIMER_REAL, timeout or 0)
    try:
        os.execve(script[0], script, environment)  # noqa: S606  # as OpenVPN does: no shell
    except OSError:
        return ScriptResult("not_executable", exit_status=NOT_EXECUTABLE)


def die_of(number: int) -> None:
    """End this process by the signal; return if the signal is blocked."""
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run(script: list[bytes], environment: dict[bytes, bytes], timeout: float | None) -> ScriptResult:
    """Run the script to its end. Raise NoProcessError if the process limit is reached."""
    begin = time.monotonic()
    child = _Child(timeout)
    try:
        try:
            child.start(script, environment)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise NoProcessError(error.strerror) from None
            return ScriptResult("not_executable", exit_status=NOT_EXECUTABLE, seconds=time.monotonic() - begin)
        status = child.wait()
    finally:
        child.leave_alone()
    seconds = time.monotonic() - begin
    if child.expired or status is None:
        return ScriptResult("timeout", exit_status=_TIMED_OUT, seconds=seconds)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return ScriptResult("signal", signal=-code, seconds=seconds)
    result = {0: "ok", NOT_EXECUTABLE: "not_executable"}.get(code, "exit_status")
    return ScriptResult(result, exit_status=code, seconds=seconds)


class _Child:
    """The script's process. Signals that reach the hook are handed on to it; a timer ends it."""

    def __init__(self, timeout: float | None) -> None:
        self.expired = 0  # how often the timer went off
        self._timeout = timeout
        self._pid = 0
        self._waiting = False
        self._early: list[int] = []
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # if ignored, the script's end could not be waited for
        for number in _FORWARDED:
            if _signal.getsignal(number) is not _signal.SIG_IGN:  # as under nohup: the script ignores it too
                _signal.signal(number, self._forward)

    def start(self, script: list[bytes], environment: dict[bytes, bytes]) -> None:
        """Start the script; raise OSError as posix_spawn does. SIGXFSZ, which Python ignores, gets its default back."""
        if self._timeout is None:
            self._pid = os.posix_spawn(script[0], script, environment, setsigdef=[_signal.SIGXFSZ])
        else:
            # In a process group of its own, so that a script that hangs is ended with all that it started.
            self._pid = os.posix_spawn(script[0], script, environment, setsigdef=[_signal.SIGXFSZ], setpgroup=0)
            _signal.signal(_signal.SIGALRM, self._expire)
            _signal.setitimer(_signal.ITIMER_REAL, self._timeout)
        for number in self._early:
            os.kill(self._pid, number)

    def wait(self) -> int | None:
        """Return the wait status; None if the script cannot be ended."""
        try:
            # Until it is reaped its pid is not used again, so a late signal or timer hits no other process.
            self._waiting = True
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            self._waiting = False
        except _StuckError:
            return None
        if self.expired:
            self._kill(_signal.SIGKILL)  # what the script left behind in its group
        self.leave_alone()
        return os.waitpid(self._pid, 0)[1]

    def leave_alone(self) -> None:
        """Stop the timer, and ignore signals from now on: the hook has its last lines to write."""
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        for number in _FORWARDED:
            if _signal.getsignal(number) == self._forward:
                _signal.signal(number, _signal.SIG_IGN)

    def _forward(self, number: int, _frame: object) -> None:
        if not self._pid:
            self._early.append(number)
            return
        try:
            os.kill(self._pid, number)
        except PermissionError:
            pass  # a script that changed its user

    def _expire(self, _number: int, _frame: object) -> None:
        self.expired += 1
        if self.expired > 2 and self._waiting:
            raise _StuckError
        self._kill(_signal.SIGTERM if self.expired == 1 else _signal.SIGKILL)
        _signal.setitimer(_signal.ITIMER_REAL, _GRACE)

    def _kill(self, number: int) -> None:
        try:
            os.killpg(self._pid, number)
        except PermissionError:
            pass  # all of it runs as another user; given up at the third time
