"""What perf.py says where it can do nothing; tests/lab has it beside the real bpftrace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.trace import perf
from tests.support.needs import need_root
from tests.support.traced import NOBODY


def run(*words: str, before: str = "") -> tuple[int, str]:
    """Its status and its one line on standard error, run as the unit does."""
    code = Path(perf.__file__).read_text().replace("if __name__", f"{before}\nif __name__")
    ended = subprocess.run([sys.executable, "-I", "-c", code, *words], capture_output=True, text=True, check=False)
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_a_process_that_has_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert run(str(process.pid)) == (1, "the kernel goes on writing records for perf: No such process")


def test_a_process_of_another_user() -> None:
    need_root()
    become = f"import os; os.setresuid({NOBODY}, {NOBODY}, {NOBODY})"
    assert run(str(os.getpid()), before=become) == (1, "the kernel goes on writing records for perf: Permission denied")


@pytest.mark.parametrize("words", [(), ("bpftrace",), ("1", "2"), ("-1",)])
def test_no_process_id(words: tuple[str, ...]) -> None:
    assert run(*words) == (2, "usage: perf.py PID, the process id of bpftrace")


def test_a_process_that_traces_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is given up, as is a bpftrace that hangs."""
    monkeypatch.setattr(perf, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(sys, "argv", ["perf.py", str(os.getpid())])
    assert perf.main() == 1
    assert capsys.readouterr().err == f"process {os.getpid()} has attached nothing to a tracepoint\n"
