"""A process that is taken for an OpenVPN, and runs scripts one after the other, as fast as it is told to."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

RUNNER = """
import os, sys
script = sys.argv[-1]
for line in sys.stdin:
    for _ in range(int(line)):
        pid = os.fork()
        if pid == 0:
            os.execv(script, [script, "add", "10.8.0.2", "alice"])
        os.waitpid(pid, 0)
    print("done", flush=True)
"""
# Starts so many short processes per second, or as many as the machine can, and prints how many there were.
STORM = """
import os, sys, time
rate, seconds = map(int, sys.argv[1:])
begin, count = time.monotonic(), 0
while (spent := time.monotonic() - begin) < seconds:
    for _ in range(min(100, int(spent * rate) - count)):  # else a machine that is too slow would never end
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        count += 1
    time.sleep(0.001)
print(count)
"""


class Storm:
    """Other processes of the host, which start and end: so many per second, for so many seconds."""

    def __init__(self, rate: int, seconds: int) -> None:
        command = [sys.executable, "-I", "-S", "-c", STORM, str(rate), str(seconds)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def count(self) -> int:
        """Wait for its end: how many processes there were."""
        return int(self._process.communicate()[0])


class FakeOpenVpn:
    """Named `openvpn`, with a configuration that has a learn-address script; `name` is its server's.

    `before` are the words of a command that ends with executing its arguments.
    """

    def __init__(self, folder: Path, name: str, script: Path, *before: str) -> None:
        program = folder / "openvpn"
        program.symlink_to(sys.executable)
        config = folder / f"{name}.conf"
        config.write_text(f"mode server\nlearn-address {script}\n")
        command = [str(program), "-I", "-S", "-c", RUNNER, "--config", str(config), "--setenv", "x", str(script)]
        self.process = subprocess.Popen([*before, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def run(self, count: int) -> None:
        """Run the script so many times, to the last end."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"
