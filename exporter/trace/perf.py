"""Stop the kernel from handing what bpftrace traces to perf as well, which makes each call on one CPU slower.

A tracepoint's program is attached through a perf event, and the kernel wants such an event on some CPU: bpftrace takes
CPU 0. On that CPU the kernel then also writes a record per call for perf, which nobody reads; that takes as long as a
third of the trace itself. Disabling the event ends the records: the program stays attached, on every CPU.

bpftrace has no option for it, so its descriptors are borrowed with pidfd_getfd(2) (Linux 5.6+, and the right to trace
the process). This file needs nothing but the standard library, as openvpn-mq-trace.service runs it on its own:

    python3 -I perf.py PID
"""

import ctypes
import fcntl
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PIDFD_GETFD: Final = 438  # the number of the system call, on every architecture
# From include/uapi/linux/perf_event.h.
_DISABLE: Final = 0x2401  # PERF_EVENT_IOC_DISABLE
_QUERY_BPF: Final = 0xC008240A  # PERF_EVENT_IOC_QUERY_BPF: EINVAL unless it is the event of a tracepoint
_QUERY: Final = struct.Struct("=III")  # struct perf_event_query_bpf: room for so many ids, programs attached, the ids

_LOOK_EVERY: Final = 1.0  # seconds
_PATIENCE: Final = 30  # looks, for bpftrace to attach its programs


class PerfRecords:
    """The records that the programs of one bpftrace cause, until it is known to have attached all of them."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._next_look = 0.0
        self._stopped = 0  # events, at the last look
        self.is_over = False  # whether there is nothing more to do

    def look(self) -> None:
        """Stop those that have begun, at most once per second.

        Raises OSError if the process has ended, or may not be traced by the caller; then it is over, too.
        """
        if self.is_over or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_EVERY
        before, self.is_over = self._stopped, True
        self._stopped = stop(self._pid)
        self.is_over = 0 < self._stopped == before


def stop(pid: int) -> int:
    """Disable the perf events of tracepoints that the process holds; return how many there are, 0 as yet or for good.

    Raises OSError if the process has ended, or may not be traced by the caller.
    """
    pidfd = os.pidfd_open(pid)
    try:
        return sum(map(_stop, _borrowed(pid, pidfd)))
    finally:
        os.close(pidfd)


def _borrowed(pid: int, pidfd: int) -> Iterator[int]:
    """Iterate over copies of the descriptors of perf events, each open until the next."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if "perf_event" in str(entry.readlink()):
                with _copy(pidfd, int(entry.name)) as descriptor:
                    yield descriptor


@contextmanager
def _copy(pidfd: int, number: int) -> Iterator[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stop(descriptor: int) -> bool:
    """Disable the event if it belongs to a tracepoint; bpftrace's own output and its clock are perf events too."""
    try:
        fcntl.ioctl(descriptor, _QUERY_BPF, bytearray(_QUERY.pack(1, 0, 0)))
    except OSError:
        return False
    fcntl.ioctl(descriptor, _DISABLE, 0)
    return True


def main() -> int:
    """Wait until the process has attached its programs, and stop the records; return 1, with a sentence, on failure."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        print("usage: perf.py PID, the process id of bpftrace", file=sys.stderr)
        return 2
    records = PerfRecords(int(sys.argv[1]))
    for _ in range(_PATIENCE):
        try:
            records.look()
        except OSError as error:
            print(f"the kernel goes on writing records for perf: {error.strerror}", file=sys.stderr)
            return 1
        if records.is_over:
            return 0
        time.sleep(_LOOK_EVERY)
    print(f"process {sys.argv[1]} has attached nothing to a tracepoint", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
