"""How long a scrape takes, beside what a user would otherwise run: `ipcs -q`, and a plain prometheus_client collector.

"scrape": nothing has changed since the last one; "changed": every queue has.

    make bench                      # or: .venv/bin/python bench/scrape.py [QUEUES ...]

Makes its queues in an IPC namespace of its own, so it runs as root. All figures are medians of one run on one machine;
the ratios are what counts.
"""

import ctypes
import http.client
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sysv_ipc

HERE = Path(__file__).parent
COUNTS = (10, 100, 1000, 10_000, 32_000)
IDLE_SECONDS = 20


def median(
    work: Callable[[], object], count: int, before: Callable[[], object] = lambda: None, most: int = 31
) -> float:
    """Return the median seconds of several runs, after two that do not count; `before` is not timed."""
    for _ in range(2):
        before()
        work()
    times = []
    for _ in range(min(rounds(count), most)):
        before()
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def rounds(count: int) -> int:
    """Fewer for many queues."""
    return 7 if count >= 10_000 else 31


def scraping(port: int, *, encoding: str = "identity") -> Callable[[], int]:
    """Return a scrape over a connection that stays open, as Prometheus keeps it; it returns the bytes sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def scrape() -> int:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        return len(connection.getresponse().read())

    return scrape


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(600):
        try:
            scraping(port)()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"nobody listens on port {port}")


def start(port: int, *command: str) -> subprocess.Popen[bytes]:
    """Start a server on `port`, and wait until it is ready."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    wait_for(port)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and wait until it has."""
    process.send_signal(signal.SIGTERM)
    process.wait()


def peak_mib(process: subprocess.Popen[bytes]) -> float:
    """Return the peak resident memory so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return user and system time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_share(process: subprocess.Popen[bytes]) -> float:
    """Return the share of a core that it takes between scrapes."""
    before = cpu_seconds(process)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(process) - before) / IDLE_SECONDS


class Queues:
    """The queues that are measured; each has a message of some size."""

    def __init__(self) -> None:
        self._queues: list[sysv_ipc.MessageQueue] = []
        self._grown = False

    def fill_up(self, count: int) -> None:
        """Make so many queues in all."""
        for number in range(len(self._queues), count):
            queue = sysv_ipc.MessageQueue(0x4F560000 + number, sysv_ipc.IPC_CREX)
            queue.send(b"x" * (number % 200))
            if self._grown:
                queue.send(b"y" * 100, type=2)
            self._queues.append(queue)

    def change(self) -> None:
        """Put one more message on every queue, or take it off again."""
        for queue in self._queues:
            if self._grown:
                queue.receive(type=2)
            else:
                queue.send(b"y" * 100, type=2)
        self._grown = not self._grown


def main() -> None:
    """Print a line per number of queues, then the idle costs."""
    counts = [int(argument) for argument in sys.argv[1:]] or COUNTS
    if ctypes.CDLL(None, use_errno=True).unshare(0x08000000):  # CLONE_NEWIPC
        sys.exit("cannot make an IPC namespace; run as root")
    columns = ("queues", "scrape", "changed", "gzip", "gz changed", "ipcs -q", "plain", "scrape/ipcs", "changed/ipcs",
               "gzip/ipcs", "gz ch./ipcs", "plain/scrape", "page", "zipped", "peak")  # fmt: skip
    print(" ".join(f"{column:>12}" for column in columns))
    idle = []
    queues = Queues()
    for count in counts:
        queues.fill_up(count)
        exporter = start(
            18901, "-m", "exporter", "--web.listen-address=127.0.0.1:18901", "--collector.queues.max-series=0"
        )
        plain = start(18902, str(HERE / "plain_collector.py"), "18902")
        try:
            scrape = median(scraping(18901), count)
            changed = median(scraping(18901), count, queues.change)
            zipped = median(scraping(18901, encoding="gzip"), count)
            zipped_changed = median(scraping(18901, encoding="gzip"), count, queues.change)
            ipcs = median(lambda: subprocess.run(["ipcs", "-q"], stdout=subprocess.DEVNULL, check=True), count)
            peak = peak_mib(exporter)
            other = median(scraping(18902), count, most=3 if count >= 10_000 else 31)  # which takes seconds each
            size, zipped_size = scraping(18901)(), scraping(18901, encoding="gzip")()
            cells = [
                str(count),
                *(f"{seconds * 1e3:.2f} ms" for seconds in (scrape, changed, zipped, zipped_changed, ipcs, other)),
                *(f"{seconds / ipcs:.2f}" for seconds in (scrape, changed, zipped, zipped_changed)),
                f"{other / scrape:.2f}",
                *(f"{length / 1e6:.2f} MB" for length in (size, zipped_size)),
                f"{peak:.0f} MiB",
            ]
            print(" ".join(f"{cell:>12}" for cell in cells), flush=True)
            idle.append((count, idle_share(exporter)))
        finally:
            stop(exporter)
            stop(plain)
    print(f"\nidle for {IDLE_SECONDS} s with the sampler on, share of a core:")
    for count, share in idle:
        print(f"{count:7} {share:8.2%}")


if __name__ == "__main__":
    main()
