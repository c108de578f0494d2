"""A child process whose output is read without ever waiting for it."""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import IO, Final, NamedTuple

_STDERR_KEPT: Final = 4096  # bytes of the end of standard error, for the reason why it ended
_DRAIN_READS: Final = 64  # reads of standard error at most per call of `read`
_READ: Final = 64 * 1024  # bytes per read of standard error: what a pipe holds


class End(NamedTuple):
    """How a child ended."""

    status: int | None  # as subprocess has it; None if the kernel did not let it go
    said: str  # the last line of its standard error

    def __str__(self) -> str:
        return self.said or f"status {self.status}"


class Child:
    """Runs a command with pipes as standard output and error."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it. Raises OSError if the program cannot be executed."""
        self._process = subprocess.Popen(  # noqa: S603  # callers build the command from constants and single arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.pid = self._process.pid
        self._stdout, self._stderr = _pipe(self._process.stdout), _pipe(self._process.stderr)
        self._stderr_tail = b""

    def read(self, size: int) -> bytes | None:
        """Return up to `size` bytes of standard output, b"" at its end; None if there are none yet.

        Standard error is drained along with it: a child that fills that pipe would stop.
        """
        self._drain()
        return _read(self._stdout, size)

    def end(self, patience: float) -> End:
        """Wait up to `patience` seconds for its end, else kill it; return how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()  # does nothing if it has been waited for
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel does not let go of it: it is left behind
            self._process.wait(0.1)
        self._drain()
        self._stdout.close()
        self._stderr.close()
        lines = self._stderr_tail.decode(errors="replace").strip().splitlines()
        return End(self._process.returncode, lines[-1] if lines else "")

    def _drain(self) -> None:
        for _ in range(_DRAIN_READS):
            data = _read(self._stderr, _READ)
            if not data:
                break
            self._stderr_tail = (self._stderr_tail + data)[-_STDERR_KEPT:]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe  # noqa: S101  # for the type checker: it was asked for
    os.set_blocking(pipe.fileno(), False)
    return pipe


def _read(pipe: IO[bytes], size: int) -> bytes | None:
    try:
        return os.read(pipe.fileno(), size)
    except BlockingIOError:
        return None
