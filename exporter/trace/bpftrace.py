"""Run bpftrace as a child process: start it, read it, and start it again with growing pauses when it exits."""

import logging
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO, Final

from exporter.background import BackgroundThread
from exporter.trace.lines import LineSplitter
from exporter.trace.perf import PerfRecords

_log = logging.getLogger(__name__)

PROGRAM: Final = Path(str(files("exporter.trace") / "queues.bt"))
_STAND_ALONE: Final = "or let openvpn-mq-trace.service run it, and give --trace.input"

_MAX_PAUSE: Final = 60.0  # seconds
_STEADY: Final = 60.0  # seconds; a child that ran for so long had no trouble with its start
_HINTS: Final = (
    (r"only supports running as the root", f"bpftrace must be run by root: run the exporter as root, {_STAND_ALONE}"),
    (
        r"Missing CAP_\w+ capability",
        f"bpftrace must be run by root, and it needs CAP_SYS_ADMIN: run the exporter as root, {_STAND_ALONE}",
    ),
    (
        r"tracepoint not found|tracing/(events|available_events)|[Nn]o probes to attach",
        (
            "there are no tracepoints of system calls: mount tracefs (mount -t tracefs nodev /sys/kernel/tracing), "
            "or use a kernel built with CONFIG_FTRACE_SYSCALLS"
        ),
    ),
    (
        r"Unknown struct|type definitions|BTF",
        "bpftrace cannot read the kernel's types: it needs CAP_SYS_ADMIN, and a kernel with CONFIG_DEBUG_INFO_BTF",
    ),
    (
        r"Missing required kernel feature",
        (
            "bpftrace finds that the kernel lacks features: it needs CAP_SYS_ADMIN to use them, and a newer bpftrace "
            "needs Linux 5.19 or later"
        ),
    ),
    (
        r"Operation not permitted|Permission denied|lockdown",
        f"the kernel refuses bpftrace: it needs CAP_SYS_ADMIN, and no lockdown; grant it, {_STAND_ALONE}",
    ),
)


def command() -> Sequence[str]:
    """Return the command that runs the program of this package."""
    return ("bpftrace", "-f", "json", str(PROGRAM))


def environment(max_queues: int) -> dict[str, str]:
    """Return the environment with the bound of every map, under its names before bpftrace 0.20 and since."""
    return {
        **os.environ,
        "BPFTRACE_MAP_KEYS_MAX": str(max_queues),
        "BPFTRACE_MAX_MAP_KEYS": str(max_queues),
    }


def explain_exit(status: int, stderr_tail: str) -> str:
    """Explain in one sentence why the child exited, from its return code and the end of its stderr."""
    if status < 0:
        return f"bpftrace was killed by signal {-status}; it is started again"
    for pattern, sentence in _HINTS:
        if re.search(pattern, stderr_tail):
            return sentence
    lines = [line for line in stderr_tail.splitlines() if line.strip(" ~") and "RLIMIT_MEMLOCK" not in line]
    errors = [line for line in lines if "ERROR" in line] or lines  # each is followed by the place in the program
    return f"bpftrace ended with status {status}" + (f": {errors[-1].strip()[:200]}" if errors else "")


class Child:
    """Runs the command until it is to stop."""

    def __init__(
        self,
        argv: Sequence[str],
        env: dict[str, str],
        on_line: Callable[[bytes], None],
        is_hung: Callable[[float], bool],
    ) -> None:
        """`on_line` receives each line; `is_hung`, given when a child was started, returns whether to replace it."""
        self._argv = argv
        self._env = env
        self._on_line = on_line
        self._is_hung = is_hung
        self.fault: str | None = None  # why nothing is counted at present

    def run(self, thread: BackgroundThread) -> None:
        """Supervise the child; return soon after the thread, which is the caller's own, is to stop."""
        pause = 1.0
        while not thread.is_stopping:
            started = time.monotonic()
            self.fault = self._attempt(started, thread)
            if time.monotonic() - started > _STEADY:
                pause = 1.0
            thread.wait(pause)
            pause = min(pause * 2, _MAX_PAUSE)

    def _attempt(self, started: float, thread: BackgroundThread) -> str | None:
        if not shutil.which(self._argv[0]):
            return f"{self._argv[0]} is not installed: install it, {_STAND_ALONE}"
        try:
            process = subprocess.Popen(  # noqa: S603  # the command is this module's own
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return f"{self._argv[0]} cannot be started: {error.strerror}"
        with process:
            try:
                stderr_tail = self._read(process, started, thread)
            finally:
                process.kill()  # it has closed its output, or hangs, or is no longer needed
        return None if thread.is_stopping else explain_exit(process.returncode, stderr_tail)

    def _read(self, process: subprocess.Popen[bytes], started: float, thread: BackgroundThread) -> str:
        """Hand over lines until the child exits; return the end of its standard error."""
        splitter = LineSplitter()
        records = PerfRecords(process.pid)
        stderr_tail = b""
        with selectors.DefaultSelector() as selector:
            for stream in (process.stdout, process.stderr):
                selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]  # both are pipes
            while selector.get_map():
                if thread.is_stopping or self._is_hung(started):
                    break
                _stop(records)
                for key, _ in selector.select(0.25):
                    stream = _stream(key)
                    piece = os.read(stream.fileno(), 1 << 16)
                    if not piece:
                        selector.unregister(stream)
                    elif stream is process.stderr:
                        stderr_tail = (stderr_tail + piece)[-4096:]
                    else:
                        for line in splitter.split(piece):
                            self._on_line(line)
                            self.fault = None
        return stderr_tail.decode(errors="replace")


def _stop(records: PerfRecords) -> None:
    try:
        records.look()
    except OSError as error:  # only the speed of callers depends on it
        _log.debug("the kernel goes on writing records for perf: %s", error.strerror)


def _stream(key: selectors.SelectorKey) -> IO[bytes]:
    stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # as registered above
    return stream
