"""What the collector `scripts` costs per script, and what other processes of the host cost it.

    .venv/bin/python -m bench.scripts [SCRIPTS]

A process that looks like an OpenVPN runs a script of a millisecond, as fast as it can; then nobody runs anything; then
other processes start and end, 500 a second. CPU time is the whole collector's: user and system, all threads.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from exporter.collectors.context import build_context
from exporter.collectors.scripts import ScriptsCollector
from exporter.config.model import Settings
from tests.support.fake_openvpn import STORM, FakeOpenVpn
from tests.support.pages import collected

SECONDS = 2
RATE = 500


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this process during the work, and how long that took, in seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    time.sleep(0.2)  # what has not been read yet
    return time.process_time() - cpu, time.monotonic() - wall


def main() -> None:
    """Print one line per load."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    collector = ScriptsCollector(build_context(Settings()))
    collector.connect()
    collector.start()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "learn.sh"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
        with FakeOpenVpn(Path(folder), "bench", script) as openvpn:
            time.sleep(3)
            labels = {"server": "bench", "hook": "learn-address"}
            idle, wall = measured(lambda: time.sleep(SECONDS))
            print(f"nobody: {idle / wall * 1e6:.0f} µs of CPU per second")
            cpu, took = measured(lambda: openvpn.run(count))
            cost = (cpu - idle / wall * took) / count * 1e6
            print(f"{count} scripts in {took:.1f} s: {cost:.0f} µs of CPU per script")
            counted = collected([collector]).get("openvpn_script_runs_total", labels)
            print(f"counted: {counted:.0f}")
            command = [sys.executable, "-I", "-S", "-c", STORM, str(RATE), str(SECONDS)]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            storms: list[int] = []
            cpu, took = measured(lambda: storms.append(int(subprocess.check_output(command))))
            extra = (cpu - idle / wall * took) / storms[0] * 1e6
            print(f"{storms[0]} other processes in {took:.1f} s: {extra:.2f} µs of CPU per process")
            print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory} KiB more")
    collector.stop()


if __name__ == "__main__":
    main()
