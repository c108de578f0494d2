"""How long a scrape takes, beside what a user would otherwise run: `ipcs -q`, and a plain prometheus_client collector.

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


def median(work: Callable[[], object], count: int) -> float:
    """Median seconds of `count` runs, after one that does not count."""
    work()
    times = []
    for _ in range(rounds(count)):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def rounds(count: int) -> int:
    """Fewer for many queues."""
    return 7 if count >= 10_000 else 31


def scraping(port: int, *, encoding: str = "identity") -> Callable[[], int]:
    """A scrape over a connection that stays open, as Prometheus keeps it; gives the bytes that were sent."""
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
    """A server on `port` that is ready."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    wait_for(port)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and wait until it has."""
    process.send_signal(signal.SIGTERM)
    process.wait()


def peak_mib(process: subprocess.Popen[bytes]) -> float:
    """The most resident memory so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_share(process: subprocess.Popen[bytes]) -> float:
    """Share of a core that it takes while nobody scrapes."""
    before = cpu_seconds(process)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(process) - before) / IDLE_SECONDS


def fill_up(count: int, existing: int) -> None:
    """So many queues in all, each with a message of some size."""
    for number in range(existing, count):
        queue = sysv_ipc.MessageQueue(0x4F560000 + number, sysv_ipc.IPC_CREX)
        queue.send(b"x" * (number % 200))


def main() -> None:
    """Print a line a number of queues, then the idle costs."""
    counts = [int(argument) for argument in sys.argv[1:]] or COUNTS
    if ctypes.CDLL(None, use_errno=True).unshare(0x08000000):  # CLONE_NEWIPC
        sys.exit("cannot make an IPC namespace; run as root")
    print(f"{'queues':>7} {'scrape':>10} {'gzip':>10} {'ipcs -q':>10} {'plain':>10} {'scrape/ipcs':>12} "
          f"{'gzip/ipcs':>10} {'plain/scrape':>13} {'page':>9} {'zipped':>9} {'peak':>9}")  # fmt: skip
    idle = []
    existing = 0
    for count in counts:
        fill_up(count, existing)
        existing = count
        exporter = start(
            18901, "-m", "exporter", "--web.listen-address=127.0.0.1:18901", "--collector.queues.max-series=0"
        )
        plain = start(18902, str(HERE / "plain_collector.py"), "18902")
        try:
            scrape = median(scraping(18901), count)
            zipped = median(scraping(18901, encoding="gzip"), count)
            ipcs = median(lambda: subprocess.run(["ipcs", "-q"], stdout=subprocess.DEVNULL, check=True), count)
            peak = peak_mib(exporter)
            other = median(scraping(18902), count)
            size, zipped_size = scraping(18901)(), scraping(18901, encoding="gzip")()
            print(f"{count:7} {scrape * 1e3:7.2f} ms {zipped * 1e3:7.2f} ms {ipcs * 1e3:7.2f} ms {other * 1e3:7.1f} ms "
                  f"{scrape / ipcs:12.2f} {zipped / ipcs:10.2f} {other / scrape:13.1f} {size / 1e6:6.2f} MB "
                  f"{zipped_size / 1e6:6.2f} MB {peak:5.0f} MiB", flush=True)  # fmt: skip
            idle.append((count, idle_share(exporter)))
        finally:
            stop(exporter)
            stop(plain)
    print(f"\nidle for {IDLE_SECONDS} s with the sampler on, share of a core:")
    for count, share in idle:
        print(f"{count:7} {share:8.2%}")


if __name__ == "__main__":
    main()
