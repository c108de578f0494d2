"""Parsing /proc/PID/task/TID/syscall, and when looking at it is refused."""

from pathlib import Path

import pytest

from exporter.procfs import exists
from exporter.sysv.sleepers import SYSTEM_CALLS, DeniedError, parse_syscall, scan, system_calls
from tests.support.hidepid import refusal

X86 = SYSTEM_CALLS["x86_64"]
ARM = SYSTEM_CALLS["aarch64"]


@pytest.mark.parametrize(
    ("text", "calls", "asleep"),
    [
        ("69 0x8000 0x7ffd0 0x3e8 0x0 0x0 0x0 0x7ffd1 0x7f001\n", X86, ("send", 0x8000)),
        ("70 0x8001 0x7ffd0 0x3e8 0x0 0x0 0x0 0x7ffd1 0x7f001\n", X86, ("receive", 0x8001)),
        ("69 0xffffffff00000003 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, ("send", 3)),  # an int in a wider register
        ("400 0x7 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, ("send", 7)),
        ("401 0x7 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, ("receive", 7)),
        ("117 0xb 0x9 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, ("send", 9)),
        ("117 0x1000c 0x9 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, ("receive", 9)),  # its upper half is a version
        ("117 0x2 0x9 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, None),  # semget
        ("189 0x8000 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", ARM, ("send", 0x8000)),
        ("188 0x8000 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", ARM, ("receive", 0x8000)),
        ("302 0x8000 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", ARM, ("receive", 0x8000)),
        ("69 0x8000 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", ARM, None),
        ("202 0x8000 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", X86, None),
        ("running\n", X86, None),
        ("-1 0x7ffd1 0x7f001\n", X86, None),
    ],
)
def test_parse(text: str, calls: object, asleep: object) -> None:
    """The number says the call, the first argument the queue; ipc(2) has them one further on."""
    assert parse_syscall(text, calls) == asleep  # type: ignore[arg-type]  # a row of the table


def test_unknown_machines() -> None:
    """No guess for a machine whose numbers are not known."""
    assert system_calls("s390x") is None
    assert system_calls("x86_64") == X86


def test_hidden_processes(tmp_path: Path) -> None:
    """hidepid: without process 1, nothing can be said of who sleeps or of who is there."""
    with pytest.raises(DeniedError, match="hidepid"):
        scan(tmp_path, X86)
    assert exists(tmp_path, 77) is None
    (tmp_path / "1").mkdir()
    assert exists(tmp_path, 77) is False
    (tmp_path / "77").mkdir()
    assert exists(tmp_path, 77) is True


@pytest.mark.parametrize("mode", ["noaccess", "invisible"])
def test_a_proc_that_is_closed_to_others(mode: str) -> None:
    """With noaccess, each process is there, and nothing of it can be read: one sentence, too."""
    imports = "from pathlib import Path; from exporter.sysv.sleepers import SYSTEM_CALLS, DeniedError, scan"
    message = refusal(imports, "scan(Path('/proc'), SYSTEM_CALLS['x86_64'])", "DeniedError", mode)
    assert message == "/proc hides the processes of others (hidepid): mount it without hidepid\n"


def test_a_container_with_the_queues_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its /proc shows too few processes for the queues it sees."""
    (tmp_path / "1" / "ns").mkdir(parents=True)
    (tmp_path / "1" / "ns" / "pid").touch()  # any inode but that of the first pid namespace
    monkeypatch.setattr("exporter.sysv.sleepers.own_ipc_namespace", lambda: 0xEFFFFFFF)
    with pytest.raises(DeniedError, match="host's pid namespace"):
        scan(tmp_path, X86)
    monkeypatch.setattr("exporter.sysv.sleepers.own_ipc_namespace", lambda: 0xEFFFFFFF - 1000)
    assert scan(tmp_path, X86) == ({}, {})


def test_a_sleeper_may_have_any_name(tmp_path: Path) -> None:
    """The kernel cuts names at 15 bytes, also within a character."""
    for pid in ("1", "500"):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "pid").symlink_to("/proc/self/ns/pid")
    task = tmp_path / "500" / "task" / "500"
    (task / "ns").mkdir(parents=True)
    (task / "ns" / "ipc").symlink_to("/proc/self/ns/ipc")
    (task / "syscall").write_text("70 0x8001 0x7ffd0 0x3e8 0x0 0x0 0x0 0x7ffd1 0x7f001\n")
    (task / "stat").write_bytes(b"500 (" + "\N{CYRILLIC SMALL LETTER PE}".encode() * 7 + b"\xd0) S 1\n")
    assert scan(tmp_path, X86).receivers == {0x8001: 1}
