"""What a scan of the collector `waiters` costs, on hosts with few and with many threads.

    .venv/bin/python bench/waiters.py [THREADS ...]

Starts processes with 100 sleeping threads each until there are so many. Figures are medians of one run; what the
collector makes of them: a scan is not repeated before it has taken a hundredth of a core.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from exporter.sysv.sleepers import scan, system_calls

THREADS = (200, 5000)
EACH = 100
SLEEPERS = f"""
import threading, time
threading.stack_size(1 << 16)
for _ in range({EACH - 1}):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print(flush=True)
time.sleep(1000)
"""


def threads() -> int:
    """Return how many threads the host has."""
    return sum(1 for _ in Path("/proc").glob("[0-9]*/task/[0-9]*"))


def main() -> None:
    """Print one line per number of threads."""
    calls = system_calls()
    if calls is None:
        sys.exit("the system call numbers of this machine are not known")
    started: list[subprocess.Popen[bytes]] = []
    print(f"{'threads':>8} {'scan ms':>8} {'CPU ms':>8} {'µs/thread':>10} {'repeated after s':>17}")
    try:
        for wanted in map(int, sys.argv[1:] or THREADS):
            while threads() < wanted:
                process = subprocess.Popen([sys.executable, "-c", SLEEPERS], stdout=subprocess.PIPE)
                started.append(process)
                next(iter(process.stdout or ()))
            walls, costs = [], []
            for _ in range(15):
                wall, cpu = time.perf_counter(), time.thread_time()
                scan(Path("/proc"), calls)
                walls.append(time.perf_counter() - wall)
                costs.append(time.thread_time() - cpu)
            wall, cost = statistics.median(walls), statistics.median(costs)
            figures = f"{wall * 1e3:8.1f} {cost * 1e3:8.1f} {cost / threads() * 1e6:10.1f} {cost * 100:17.1f}"
            print(f"{threads():8} {figures}")
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
