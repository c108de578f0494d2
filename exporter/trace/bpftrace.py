"""bpftrace as a supervised child: started, read, and started again with growing pauses when it ends."""

import os
import re
import selectors
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO, Final

from exporter.trace.lines import LineSplitter

PROGRAM: Final = Path(str(files("exporter.trace") / "queues.bt"))
STAND_ALONE: Final = "or let openvpn-mq-trace.service run it, and give --trace.input"

_LONGEST_PAUSE: Final = 60.0  # seconds
_STEADY: Final = 60.0  # a child that ran so long had no trouble with its start
_EXCUSES: Final = (
    (r"only supports running as the root", f"bpftrace must be run by root: run the exporter as root, {STAND_ALONE}"),
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
        r"Operation not permitted|Permission denied|lockdown",
        f"the kernel refuses bpftrace: it needs CAP_SYS_ADMIN, and no lockdown; grant it, {STAND_ALONE}",
    ),
)


def command() -> Sequence[str]:
    """What runs the program that ships with this package."""
    return ("bpftrace", "-f", "json", str(PROGRAM))


def environment(max_queues: int) -> dict[str, str]:
    """With the bound of every map under the two names that it has had: before bpftrace 0.20, and since."""
    return {
        **os.environ,
        "BPFTRACE_MAP_KEYS_MAX": str(max_queues),
        "BPFTRACE_MAX_MAP_KEYS": str(max_queues),
    }


def excuse(status: int, complaint: str) -> str:
    """One sentence for an end with `status` (as subprocess has it) after `complaint` on standard error."""
    if status < 0:
        return f"bpftrace was ended by signal {-status}; it is started again"
    for pattern, sentence in _EXCUSES:
        if re.search(pattern, complaint):
            return sentence
    lines = [line for line in complaint.splitlines() if line.strip() and "RLIMIT_MEMLOCK" not in line]
    return f"bpftrace ended with status {status}" + (f": {lines[-1].strip()[:200]}" if lines else "")


class Child:
    """Runs the command until told to stop."""

    def __init__(
        self,
        argv: Sequence[str],
        env: dict[str, str],
        hear: Callable[[bytes], None],
        hung: Callable[[float], bool],
    ) -> None:
        """`hear` gets each line; `hung`, given the start of a child by time.monotonic(), says whether to replace it."""
        self._argv = argv
        self._env = env
        self._hear = hear
        self._hung = hung
        self.fault: str | None = None  # why nothing is counted just now

    def run(self, stopping: threading.Event) -> None:
        """Supervise; returns soon after `stopping` is set."""
        pause = 1.0
        while not stopping.is_set():
            begin = time.monotonic()
            self.fault = self._attempt(begin, stopping)
            if time.monotonic() - begin > _STEADY:
                pause = 1.0
            stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _attempt(self, begin: float, stopping: threading.Event) -> str | None:
        if not shutil.which(self._argv[0]):
            return f"{self._argv[0]} is not installed: install it, {STAND_ALONE}"
        try:
            process = subprocess.Popen(  # noqa: S603  # the command is this module's own
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return f"{self._argv[0]} cannot be started: {error.strerror}"
        with process:
            try:
                complaint = self._read(process, begin, stopping)
            finally:
                process.kill()  # it has closed its output, or hangs, or is not wanted any more
        return None if stopping.is_set() else excuse(process.returncode, complaint)

    def _read(self, process: subprocess.Popen[bytes], begin: float, stopping: threading.Event) -> str:
        """Lines go to `hear` until the child ends; what it said last on standard error is returned."""
        splitter = LineSplitter()
        complaint = b""
        with selectors.DefaultSelector() as selector:
            for stream in (process.stdout, process.stderr):
                selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]  # both are pipes
            while selector.get_map():
                if stopping.is_set() or self._hung(begin):
                    break
                for key, _ in selector.select(0.25):
                    stream = _stream(key)
                    piece = os.read(stream.fileno(), 1 << 16)
                    if not piece:
                        selector.unregister(stream)
                    elif stream is process.stderr:
                        complaint = (complaint + piece)[-4096:]
                    else:
                        for line in splitter.split(piece):
                            self._hear(line)
                            self.fault = None
        return complaint.decode(errors="replace")


def _stream(key: selectors.SelectorKey) -> IO[bytes]:
    stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # as registered above
    return stream
