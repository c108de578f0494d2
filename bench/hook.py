"""What openvpn-mq-hook adds to a script that does nothing, beside what starting Python costs anyhow.

    make bench                      # or: .venv/bin/python bench/hook.py [ROUNDS]

Makes its queue in an IPC namespace of its own, so it runs as root. All ways are tried in turn, round by round; the
figures are medians of one run on one machine, and the ratios are what counts.
"""

import ctypes
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import sysv_ipc

CLONE_NEWIPC = 0x08000000
KEY = 0x4F560001
HOOK = Path(sysconfig.get_path("scripts")) / "openvpn-mq-hook"
WRAPPER = f"""#!{sys.executable}
import re
import sys
from exporter.hook.program import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""  # as pip writes for [project.scripts]


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWIPC):
        sys.exit("bench/hook.py makes an IPC namespace and has to run as root")
    queue = sysv_ipc.MessageQueue(KEY, sysv_ipc.IPC_CREX)
    with tempfile.TemporaryDirectory() as folder:
        script, wrapper, record = (Path(folder, name) for name in ("script", "wrapper", "record"))
        for path, text in ((script, "#!/bin/sh\nexit 0\n"), (wrapper, WRAPPER)):
            path.write_text(text)
            path.chmod(0o755)
        tail = ["--record", record, "--", script]
        ways: dict[str, list[Any]] = {
            "python -I -S -c pass": [sys.executable, "-I", "-S", "-c", "pass"],
            "the script alone": [script],
            "hook": [HOOK, *tail],
            "hook with --queue": [HOOK, "--queue", str(KEY), *tail],
            "the same behind pip's own wrapper": [wrapper, "--queue", str(KEY), *tail],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, command in ways.items():
                begin = time.perf_counter()
                subprocess.run(command, check=True)
                times[name].append(time.perf_counter() - begin)
            while queue.current_messages:
                queue.receive()
    medians = {name: statistics.median(taken[1:]) * 1000 for name, taken in times.items()}
    interpreter, alone = medians["python -I -S -c pass"], medians["the script alone"]
    print(f"{'':36}{'median':>10}{'added':>10}{'added / interpreter':>22}")
    for name, median in medians.items():
        added = "" if name.startswith(("python", "the script")) else f"{median - alone:7.1f} ms"
        ratio = f"{(median - alone) / interpreter:.2f}" if added else ""
        print(f"{name:36}{median:7.1f} ms{added:>10}{ratio:>22}")


if __name__ == "__main__":
    main()
