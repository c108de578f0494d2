"""Runs the script, and waits for its end as long as it may take."""

import _signal  # type: ignore[import-not-found]  # signal's own core, without stubs; signal imports enum: 5 ms
import errno
import os
import time

NOT_EXECUTABLE = 127  # what a shell, env and OpenVPN's own child end with where there is nothing to execute
_TIMED_OUT = 124  # as timeout(1) has it
_GRACE = 2.0  # seconds from TERM to KILL, and from KILL to giving up
_FORWARDED = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2)


class Outcome:
    """How a script fared."""

    def __init__(self, result: str, *, exit_status: int = 0, signal: int = 0, seconds: float | None = None) -> None:
        self.result = result  # ok, deferred, exit_status, not_executable, signal, timeout
        self.exit_status = exit_status
        self.signal = signal  # that killed it; 0 = none
        self.seconds = seconds  # None: none ran


class NoProcessError(Exception):
    """There may be no process more: the script can only run in the hook's place, by `replace`."""


class _StuckError(Exception):
    """It outlived SIGKILL, or belongs to somebody whom this process may not kill."""


def replace(script: list[str], environment: dict[bytes, bytes], timeout: float | None) -> Outcome:
    """Become the script; returns only where it cannot be executed.

    The timer outlives the change: its SIGALRM then ends the script.
    """
    for number in (_signal.SIGXFSZ, *_FORWARDED):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.setitimer(_signal.ITIMER_REAL, timeout or 0)
    try:
        os.execve(script[0], script, environment)  # noqa: S606  # as OpenVPN does: no shell
    except OSError:
        return Outcome("not_executable", exit_status=NOT_EXECUTABLE)


def die_of(number: int) -> None:
    """End this process by the signal; returns where the signal is blocked here."""
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run(script: list[str], environment: dict[bytes, bytes], timeout: float | None) -> Outcome:
    """Run it to its end. Raises NoProcessError where the system has no process for it."""
    begin = time.monotonic()
    child = _Child(timeout)
    try:
        try:
            child.start(script, environment)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise NoProcessError(error.strerror) from None
            return Outcome("not_executable", exit_status=NOT_EXECUTABLE, seconds=time.monotonic() - begin)
        status = child.wait()
    finally:
        child.leave_alone()
    seconds = time.monotonic() - begin
    if child.expired or status is None:
        return Outcome("timeout", exit_status=_TIMED_OUT, seconds=seconds)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return Outcome("signal", signal=-code, seconds=seconds)
    result = {0: "ok", NOT_EXECUTABLE: "not_executable"}.get(code, "exit_status")
    return Outcome(result, exit_status=code, seconds=seconds)


class _Child:
    """The script's process. Signals that reach the hook are handed on to it; a timer ends it."""

    def __init__(self, timeout: float | None) -> None:
        self.expired = 0  # how often the timer went off
        self._timeout = timeout
        self._pid = 0
        self._waiting = False
        self._early: list[int] = []
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # were it ignored, nobody could learn of the script's end
        for number in _FORWARDED:
            if _signal.getsignal(number) is not _signal.SIG_IGN:  # as under nohup: the script ignores it too
                _signal.signal(number, self._forward)

    def start(self, script: list[str], environment: dict[bytes, bytes]) -> None:
        """Start it; OSError of posix_spawn. Python ignores SIGXFSZ (and SIGPIPE, as OpenVPN does): not the script."""
        if self._timeout is None:
            self._pid = os.posix_spawn(script[0], script, environment, setsigdef=[_signal.SIGXFSZ])
        else:
            # In a process group of its own, so that what hangs is ended with all that it started.
            self._pid = os.posix_spawn(script[0], script, environment, setsigdef=[_signal.SIGXFSZ], setpgroup=0)
            _signal.signal(_signal.SIGALRM, self._expire)
            _signal.setitimer(_signal.ITIMER_REAL, self._timeout)
        for number in self._early:
            os.kill(self._pid, number)

    def wait(self) -> int | None:
        """Its wait status; None where it will not end."""
        try:
            # Not yet reaped, its pid stays its own, and a late signal or timer hits nobody else.
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
        """It has ended: the timer stops, and signals no longer keep the hook from its last lines."""
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
            pass  # a script that became somebody else

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
            pass  # all of it runs as somebody else; given up at the third time
