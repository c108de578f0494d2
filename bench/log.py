"""Lines of OpenVPN's log per second of CPU, beside mtail with the same patterns.

    .venv/bin/python -m bench.log [LINES]      # as root: it lets a real OpenVPN write the log that is then repeated

Both count the same file from its beginning to its end, with all that they do before and after; what they counted must
be equal. Then the same for a tenth of the file: the memory must be the same. All figures are of one run on one
machine; the ratio is what counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.support.openvpn import Lab
from tests.support.program import Program, running

HERE = Path(__file__).parent
IDLE_SECONDS = 20


class Run(NamedTuple):
    """What a process took, and what it said."""

    cpu: float  # seconds, of user and system
    output: str


def run(*command: str) -> Run:
    """Run to the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        assert process.stdout  # noqa: S101  # for the type checker
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Run(usage.ru_utime + usage.ru_stime, output)


def real_log() -> bytes:
    """Return what a server writes while clients come and go; one in ten is refused by a script that fails."""
    with Lab() as lab:
        script = lab.script("connect", 'case "$common_name" in *0) echo "Message queue full"; exit 3;; esac')
        server = lab.server(f"client-connect {script}")
        for number in range(20):
            client = lab.client(f"client{number}")
            client.wait_refused() if number % 10 == 0 else client.wait_connected()
            client.stop()
        server.stop()
        return server.log.read_bytes()


def mtail_counts(output: str) -> dict[str, int]:
    """Return the sums of mtail's metrics by name."""
    return {
        metric["Name"]: sum(int(value["Value"]["Value"]) for value in metric.get("LabelValues") or [])
        for metrics in json.loads(output).values()
        for metric in metrics
    }


def main(count: int) -> None:
    """Print the table."""
    piece = real_log()
    lines = piece.count(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.log"), Path(folder, "small.log")
        large.write_bytes(piece * (count // lines + 1))
        small.write_bytes(piece * (count // lines // 10 + 1))
        total = lines * (count // lines + 1)
        mtail = run("mtail", "-one_shot", "-progs", str(HERE / "log.mtail"), "-logs", str(large), "-log_dir", folder)
        ours = run(sys.executable, str(HERE / "log_reader.py"), str(large))
        ours_small = run(sys.executable, str(HERE / "log_reader.py"), str(small))

    report = json.loads(ours.output)
    counted, theirs = report["counted"], mtail_counts(mtail.output)
    failures = sum(value for name, value in counted.items() if name.startswith("openvpn_script_failures_total/"))
    for name, value in (
        ("lines_total", counted["openvpn_log_lines_total"]),
        ("script_failures_total", failures),
        ("message_queue_total", counted["openvpn_log_message_queue_lines_total/full"]),
    ):
        if theirs[name] != value:
            sys.exit(f"{name}: mtail counted {theirs[name]}, the exporter {value}")
    print(f"{total} lines, {len(piece) * (count // lines + 1) / 1e6:.0f} MB, {failures:.0f} failures among them")
    print(f"{'':12}{'CPU s':>8}{'lines/CPU s':>14}")
    for name, result in (("mtail", mtail), ("exporter", ours)):
        print(f"{name:12}{result.cpu:8.2f}{total / result.cpu:14,.0f}")
    print(f"exporter over mtail: {mtail.cpu / ours.cpu:.1f} times the lines per CPU second")
    print(
        f"peak memory: {report['MiB']:.1f} MiB; for a tenth of the lines {json.loads(ours_small.output)['MiB']:.1f} MiB"
    )
    follow()


def follow() -> None:
    """Print what following an idle log costs, and how long a new line takes to be counted."""
    warning = "2026-11-23 20:40:09 WARNING: Failed running command (--client-connect): external program fork failed\n"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "server.log")
        log.touch()
        flags = ("--collector.disable-defaults", "--collector.log", f"--state.directory={folder}/state")
        with running(f"--openvpn.log={log}", *flags) as program:
            idle = idle_cpu(program)
            delays = []
            for number in range(1, 11):
                with log.open("a") as file:
                    file.write(warning)
                begin = time.monotonic()
                while program.value("openvpn_log_lines_total", server="server") != number:
                    time.sleep(0.005)
                delays.append(time.monotonic() - begin)
    with running("--collector.disable-defaults", "--collector.limits") as program:
        without = idle_cpu(program)
    print(f"idle: {idle:.2f} % of a core, and {without:.2f} % without a log to follow")
    print(f"a new line is counted after {max(delays):.2f} s at most")


def idle_cpu(program: Program) -> float:
    """Percent of a core that an exporter takes which nobody asks for anything."""
    program.page()
    clock = (~program.process.pid << 3) | 2  # the kernel's number for the CPU clock of another process
    before = time.clock_gettime(clock)
    time.sleep(IDLE_SECONDS)
    return (time.clock_gettime(clock) - before) / IDLE_SECONDS * 100


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
