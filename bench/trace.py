"""What the collector `trace` costs: a pair of msgsnd and msgrcv with and without it, and bpftrace itself.

    sudo .venv/bin/python bench/trace.py

Runs in an IPC and a mount namespace of its own, so it needs root; and bpftrace and gcc. With and without alternate, so
that a noisy machine is noisy for both, and the time is CPU time; what counts is the ratio, and the nanoseconds between
the medians. "empty" are the same four probes without anything in them: what the kernel takes for itself, which can
differ from one CPU of a machine to the next, so each is measured. No records for perf are written, as in production.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exporter.trace.bpftrace import command, environment
from exporter.trace.perf import PerfRecords

PAIRS = 300_000
ROUNDS = 7
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/msg.h>
#include <time.h>
int main(int count, char **words)
{
    struct { long type; char text[100]; } message = {1, ""};
    struct timespec begin, end;
    int queue = msgget(IPC_PRIVATE, 0600), pairs = atoi(words[1]);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int pair = 0; pair < pairs; pair++)
        if (msgsnd(queue, &message, 100, 0) || msgrcv(queue, &message, 100, 0, 0) < 0) return 1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    msgctl(queue, IPC_RMID, NULL);
    printf("%f\\n", ((end.tv_sec - begin.tv_sec) * 1e9 + end.tv_nsec - begin.tv_nsec) / pairs);
    return count != 2;
}
"""


EMPTY = """
BEGIN { @session = 1; print(@session); }
tracepoint:syscalls:sys_enter_msgsnd, tracepoint:syscalls:sys_exit_msgsnd,
tracepoint:syscalls:sys_enter_msgrcv, tracepoint:syscalls:sys_exit_msgrcv { }
"""


@contextmanager
def traced(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """bpftrace, once it has printed and writes no records for perf; its further output is thrown away."""
    process = subprocess.Popen(
        argv, env=environment(1024), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        for line in process.stdout or ():
            if "@session" in json.loads(line or "{}").get("data", {}):
                break
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        records = PerfRecords(process.pid)
        while not records.is_over:
            records.look()
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()
        drain.wait()


def seconds(pid: int) -> float:
    """CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(pid: int, work: str, during: float) -> str:
    """Of a core, that a process takes for a while."""
    before, begin = seconds(pid), time.monotonic()
    time.sleep(during)
    return f"{work}: {(seconds(pid) - before) / (time.monotonic() - begin):.2%} of a core"


def main() -> None:
    """Print the figures."""
    if os.environ.get("_IN_NAMESPACE") != "1":
        script = 'mount -t tracefs nodev /sys/kernel/tracing && exec "$@"'
        argv = ["unshare", "--mount", "--ipc", "sh", "-c", script, "sh", sys.executable, *sys.argv]
        os.execvpe("unshare", argv, {**os.environ, "_IN_NAMESPACE": "1"})  # noqa: S606  # this very script
    with tempfile.TemporaryDirectory() as folder:
        pairs = f"{folder}/pairs"
        subprocess.run(["gcc", "-O2", "-x", "c", "-o", pairs, "-"], input=PROGRAM, text=True, check=True)

        def pair(cpu: int) -> float:
            argv = ["taskset", "--cpu-list", str(cpu), pairs, str(PAIRS)]
            return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)

        programs: dict[str, Sequence[str]] = {"empty": ["bpftrace", "-f", "json", "-e", EMPTY], "with": command()}
        cpus = sorted(os.sched_getaffinity(0))
        times: dict[tuple[int, str], list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for cpu in cpus:
                times[cpu, "without"].append(pair(cpu))
            for name, program in programs.items():
                with traced(program):
                    for cpu in cpus:
                        times[cpu, name].append(pair(cpu))
        for cpu in cpus:
            without, probes, beside = (statistics.median(times[cpu, name]) for name in ("without", "empty", "with"))
            print(f"CPU {cpu}: msgsnd + msgrcv without: {without:.0f} ns, with empty probes: {probes:.0f} ns, "
                  f"with the trace: {beside:.0f} ns, ratio {beside / without:.2f}")  # fmt: skip
        with traced(command()) as process:
            (peak,) = [
                int(line.split()[1]) // 1024
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                if line.startswith("VmHWM")
            ]
            print(f"bpftrace: {peak} MiB of memory at its peak")
            print(share(process.pid, "bpftrace beside an idle host", 10))
            load = subprocess.Popen([pairs, "100000000"])
            print(share(process.pid, "bpftrace beside one process at full speed", 10))
            load.kill()
            load.wait()


if __name__ == "__main__":
    main()
