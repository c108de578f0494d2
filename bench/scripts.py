"""What the collector `scripts` costs per script, and what other processes of the host cost it.

    .venv/bin/python -m bench.scripts [SCRIPTS]

Nobody runs anything; then a process that looks like an OpenVPN runs a script of a millisecond, as fast as it can; then
other processes start and end, 2,000 per second or as many as the machine can; then both at once. CPU time is that of
this process: the collector's, and the little that asking for scripts takes.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from exporter.collectors.context import build_context
from exporter.collectors.scripts import ScriptsCollector
from exporter.config.model import Config, OpenVpnServer, Settings
from tests.support.fake_openvpn import FakeOpenVpn, Storm
from tests.support.pages import collected

SECONDS = 5
RATE = 2000


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this process during the work, and how long that took, in seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    time.sleep(0.2)  # what has not been read yet
    return time.process_time() - cpu, time.monotonic() - wall


def run_beside(openvpn: FakeOpenVpn, storm: Storm) -> None:
    """Run scripts until the storm is over."""
    while not storm.is_over():
        openvpn.run(10)


def main() -> None:
    """Print one line per load."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    config = Config(servers=(OpenVpnServer("bench"),))  # so that no other OpenVPN of the host counts
    collector = ScriptsCollector(build_context(Settings(config=config)))
    collector.connect()
    collector.start()
    labels = {"server": "bench", "hook": "learn-address"}

    def runs() -> float:
        return collected([collector]).get("openvpn_script_runs_total", labels) or 0.0

    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "learn.sh"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
        with FakeOpenVpn(Path(folder), "bench", script) as openvpn:
            time.sleep(3)
            idle, wall = measured(lambda: time.sleep(SECONDS))
            idle /= wall
            print(f"nobody: {idle * 1e6:.0f} µs of CPU per second")

            cpu, took = measured(lambda: openvpn.run(count))
            print(f"{count} scripts in {took:.1f} s: {(cpu - idle * took) / count * 1e6:.0f} µs of CPU per script")
            before = runs()
            print(f"counted: {before:.0f}")

            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            storm = Storm(RATE, SECONDS)
            cpu, took = measured(storm.count)
            others = Storm(RATE, SECONDS)
            beside_cpu, beside_took = measured(lambda: run_beside(openvpn, others))
            scripts = runs() - before
            cost = (beside_cpu - idle * beside_took) / scripts * 1e6
            print(f"other processes alone: {(cpu / took - idle) * 1e6:.0f} µs of CPU per second more")
            print(
                f"{scripts:.0f} scripts beside {others.count()} others in {beside_took:.1f} s: {cost:.0f} µs per script"
            )
            print(f"events lost: {collected([collector]).get('openvpn_script_events_lost_total', {}):.0f}")
            print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory} KiB more")
    collector.stop()


if __name__ == "__main__":
    main()
