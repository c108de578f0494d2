"""An exporter whose bpftrace counts, and what its page has of a queue."""

import ctypes
import fcntl
import os
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sysv_ipc

from tests.support.program import Program, Samples

MARKER = 0x7FFF0001
NOBODY = 65534
NAMES = {
    "sysv_msg_queue_sent_messages_total": "sent",
    "sysv_msg_queue_sent_bytes_total": "sent_bytes",
    "sysv_msg_queue_received_messages_total": "received",
    "sysv_msg_queue_received_bytes_total": "received_bytes",
}


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Traced:
    """A running exporter whose bpftrace counts."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._marker = sysv_ipc.MessageQueue(MARKER, sysv_ipc.IPC_CREAT)
        until(self._mark, f"nothing is counted: {program.log}")

    def _mark(self) -> bool:
        """Whether a message sent now shows up soon."""
        before = self._marked()
        self._send()
        time.sleep(0.5)
        return self._marked() > before

    def _send(self) -> None:
        self._marker.send(b"")
        self._marker.receive()

    def _marked(self) -> float:
        return self.program.value("sysv_msg_queue_sent_messages_total", queue=f"0x{MARKER:08x}") or 0

    def settle(self) -> Samples:
        """A page on which everything is that happened before this call: two prints after it are through."""
        for _ in range(2):
            before = self._marked()
            self._send()
            until(lambda: self._marked() > before, f"no more prints: {self.program.log}")  # noqa: B023  # called at once
        return self.program.samples()

    def bpftrace(self) -> int:
        """The process id of its child."""
        children = Path(f"/proc/{self.program.process.pid}/task").glob("*/children")
        (pid,) = [
            int(pid)
            for each in children
            for pid in each.read_text().split()
            if Path(f"/proc/{pid}/comm").read_text() == "bpftrace\n"
        ]
        return pid


def records(pid: int) -> int:
    """How many records the kernel has written so far for the perf events that a bpftrace holds for its tracepoints."""
    libc = ctypes.CDLL(None)
    pidfd = os.pidfd_open(pid)
    written = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if "perf_event" in str(entry.readlink()):
            descriptor = libc.syscall(438, pidfd, int(entry.name), 0)  # pidfd_getfd
            with suppress(OSError):  # its output and its clock are no tracepoint's
                fcntl.ioctl(descriptor, 0xC008240A, bytearray(struct.pack("=III", 1, 0, 0)))  # PERF_EVENT_IOC_QUERY_BPF
                written += int.from_bytes(os.read(descriptor, 8), sys.byteorder)
            os.close(descriptor)
    os.close(pidfd)
    return written


def counted(page: Samples, queue: str) -> Counter[str]:
    """What the page says of one queue, by the names that the programs print."""
    count: Counter[str] = Counter()
    for (name, labels), value in page.items():
        of = dict(labels)
        if of.get("queue") == queue:
            if name in NAMES:
                count[NAMES[name]] = int(value)
            elif name == "sysv_msg_queue_send_failures_total":
                count[of["errno"]] = int(value)
    return +count
