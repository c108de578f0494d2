"""Supervision of bpftrace; with a script in its place for what the real one does not do on demand."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.background import BackgroundThread
from exporter.trace.bpftrace import PROGRAM, Child, environment, explain_exit

TRACEPOINT = "/x/queues.bt:31:1-45: ERROR: tracepoint not found: syscalls:sys_enter_msgsnd"
RLIMIT = (
    "ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK for bpftrace. If your program is not loading, you can try"
)


@pytest.mark.parametrize(
    ("status", "stderr_tail", "sentence"),
    [
        (1, "ERROR: bpftrace currently only supports running as the root user.", "must be run by root"),
        (
            1,
            "ERROR: Missing CAP_BPF capability, please run bpftrace as the root user.",
            "run by root, and it needs CAP_SYS",
        ),
        (1, f"{RLIMIT}\n{TRACEPOINT}\n  ~~~~", "mount tracefs"),
        (1, "queues.bt:26: ERROR: Unknown struct/union: 'struct task_struct'", "CONFIG_DEBUG_INFO_BTF"),
        (255, "ERROR: Failed to create map: Operation not permitted", "CAP_SYS_ADMIN"),
        (
            1,
            "x.bt:2:1-3: ERROR: Missing required kernel feature: map_x\n delete(@a[$q]);\n ~~~",
            "needs CAP_SYS_ADMIN",
        ),
        (
            1,
            "x.bt:2:1-3: ERROR: something new\n  delete(@a[$q]);\n  ~~~~~~\n",
            "status 1: x.bt:2:1-3: ERROR: something new",
        ),
        (-9, RLIMIT, "killed by signal 9"),
        (1, f"{RLIMIT}\nERROR: something new\n", "status 1: ERROR: something new"),
        (0, RLIMIT, "bpftrace ended with status 0"),
    ],
)
def test_explain_exit(status: int, stderr_tail: str, sentence: str) -> None:
    """One line, with what to do where that is known."""
    text = explain_exit(status, stderr_tail)
    assert sentence in text
    assert "\n" not in text
    assert "RLIMIT" not in text


def test_both_names_of_the_bound() -> None:
    """Of bpftrace up to 0.19, and from 0.20 on; the rest of the environment stays."""
    env = environment(500)
    assert (env["BPFTRACE_MAP_KEYS_MAX"], env["BPFTRACE_MAX_MAP_KEYS"]) == ("500", "500")
    assert env["PATH"] == os.environ["PATH"]


def test_the_program_ships_with_the_package() -> None:
    """Where Python finds the package."""
    assert PROGRAM.read_text().startswith("#!/usr/bin/env -S bpftrace")


class Supervised:
    """A child of `script`, and what came of it."""

    def __init__(self, argv: list[str], hung: Callable[[float], bool] = lambda _: False) -> None:
        self.lines: list[bytes] = []
        self.child = Child(argv, dict(os.environ), self.lines.append, hung)
        self.thread = BackgroundThread("child", self._round)
        self.thread.start()

    def _round(self) -> float:
        self.child.run(self.thread)
        return 0.0

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (self.lines, self.child.fault)
            time.sleep(0.01)

    def stop(self) -> None:
        assert self.thread.stop(10)


def test_started_again() -> None:
    """One that ends is started again, after a pause that grows; what it said last on standard error is the fault."""
    moments: list[float] = []

    def started(_: float) -> bool:
        return False

    supervised = Supervised(["sh", "-c", "echo $$; echo why >&2; exit 3"], started)
    for count in (1, 2, 3):
        supervised.until(lambda count=count: len(supervised.lines) >= count)  # type: ignore[misc]  # mypy on defaults
        moments.append(time.monotonic())
        supervised.until(lambda: supervised.child.fault)
        assert supervised.child.fault == "bpftrace ended with status 3: why"
    supervised.stop()
    assert len(set(supervised.lines)) == 3
    assert moments[1] - moments[0] > 0.9
    assert moments[2] - moments[1] > 1.9


def test_stop_ends_the_child() -> None:
    """Also one that hears no signal but SIGKILL."""
    supervised = Supervised(["sh", "-c", "trap '' INT TERM HUP; echo $$; while :; do sleep 0.1; done"])
    supervised.until(lambda: supervised.lines)
    supervised.stop()
    assert not Path(f"/proc/{int(supervised.lines[0])}").exists()
    assert supervised.child.fault is None


def test_a_hung_child_is_replaced() -> None:
    """One that says nothing for too long is killed, and another one is started."""
    supervised = Supervised(["sh", "-c", "echo $$; exec sleep 1000"], lambda since: time.monotonic() - since > 0.5)
    supervised.until(lambda: len(supervised.lines) == 2)
    assert not Path(f"/proc/{int(supervised.lines[0])}").exists()
    supervised.stop()


def test_not_installed() -> None:
    """A sentence, and it is looked for again."""
    supervised = Supervised(["no-such-bpftrace"])
    supervised.until(lambda: supervised.child.fault)
    assert "no-such-bpftrace is not installed" in str(supervised.child.fault)
    supervised.stop()


def test_cannot_be_started(tmp_path: Path) -> None:
    """A file that is no program."""
    program = tmp_path / "bpftrace"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    supervised = Supervised([str(program)])
    supervised.until(lambda: supervised.child.fault)
    assert "cannot be started" in str(supervised.child.fault)
    supervised.stop()
