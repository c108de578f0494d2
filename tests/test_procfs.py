"""Whether a process is known to be is_gone: by real processes, and by a /proc that shows too little."""

import os
import subprocess
from pathlib import Path

import pytest

from exporter.procfs import is_gone
from tests.support.hidepid import printed

PROC = Path("/proc")
HERE = os.stat("/proc/self/ns/pid").st_ino


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_one_that_runs() -> None:
    assert not is_gone(PROC, os.getpid(), start_ticks(os.getpid()), HERE)
    assert not is_gone(PROC, os.getpid(), None, HERE)


def test_one_that_has_ended() -> None:
    process = subprocess.Popen(["sleep", "1000"])
    ticks = start_ticks(process.pid)
    assert not is_gone(PROC, process.pid, ticks, HERE)
    process.kill()
    process.wait()
    assert is_gone(PROC, process.pid, ticks, HERE)


def test_another_of_the_same_pid() -> None:
    """A pid is used again; the time of its start is not."""
    assert is_gone(PROC, os.getpid(), start_ticks(os.getpid()) - 1, HERE)


@pytest.mark.parametrize("namespace", [HERE + 1, None])
def test_one_of_a_pid_namespace_that_cannot_be_seen(namespace: int | None) -> None:
    """Its pid means something else here, so nothing is known."""
    assert not is_gone(PROC, 2**22 - 1, 5, namespace)
    assert not is_gone(PROC, os.getpid(), 5, namespace)


def test_hidepid() -> None:
    """Where /proc hides the processes of others, one that is not seen may be there all the same."""
    program = (
        "from pathlib import Path; from exporter.procfs import is_gone\n"
        f"print(is_gone(Path('/proc'), 2**22 - 1, 5, {HERE}), Path('/proc/1').exists())"
    )
    assert printed(program, "invisible") == "False False\n"
