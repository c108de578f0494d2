"""Executions of files that the test made, by processes of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.process_events.executions import Execution, Executions, parse
from tests.support.hooks import script
from tests.support.needs import missing


@pytest.fixture
def executions() -> Iterator[Executions]:
    try:
        opened = Executions()
    except OSError as error:
        missing(f"fanotify: {error.strerror}")
        raise
    yield opened
    opened.close()


def test_in_their_order(executions: Executions, tmp_path: Path) -> None:
    """One for each run, by whatever path; nothing for other programs, and nothing for who only reads the file."""
    one, other, third = (script(tmp_path, "exit 0", name) for name in ("one", "other", "third"))
    (tmp_path / "link").symlink_to(one)
    names = {executions.mark(one): "one", executions.mark(other): "other"}
    assert executions.mark(str(tmp_path / "link")) in names
    assert executions.read() == []
    for path in (one, one, third, other, str(tmp_path / "link")):
        subprocess.run([path], check=True)
    subprocess.run(["cat", one], check=True, stdout=subprocess.DEVNULL)
    found = executions.read()
    assert [names[execution.program] for execution in found] == ["one", "one", "other", "one"]
    assert executions.read() == []


def test_pids_are_told_to_root(executions: Executions, tmp_path: Path) -> None:
    """0 without CAP_SYS_ADMIN."""
    path = script(tmp_path, "exit 0")
    executions.mark(path)
    process = subprocess.Popen([path])
    process.wait()
    (execution,) = executions.read()
    assert execution.pid == (process.pid if os.geteuid() == 0 else 0)


def test_a_file_that_was_replaced(executions: Executions, tmp_path: Path) -> None:
    """Marked again, the new one is reported."""
    path = script(tmp_path, "exit 0")
    before = executions.mark(path)
    os.rename(script(tmp_path, "exit 0", "new"), path)
    subprocess.run([path], check=True)
    assert executions.read() == []
    after = executions.mark(path)
    subprocess.run([path], check=True)
    assert [execution.program for execution in executions.read()] == [after]
    assert before != after


def test_what_cannot_be_marked(executions: Executions, tmp_path: Path) -> None:
    assert executions.mark(str(tmp_path / "nothing")) is None
    assert executions.mark("/proc/self/exe/nothing") is None


@given(st.binary(max_size=16))
def test_a_full_queue_is_no_execution(tail: bytes) -> None:
    """Its event has no file behind it, or none that is known."""
    event = (24).to_bytes(4, "little") + b"\x03\0" + (24).to_bytes(2, "little") + bytes(16)
    assert list(parse(event)) == []
    longer = (24 + 20 + len(tail)).to_bytes(4, "little") + event[4:] + bytes(12) + len(tail).to_bytes(4, "little")
    longer += bytes(4) + tail
    assert list(parse(longer)) == [Execution(len(tail).to_bytes(4, "little") + bytes(4) + tail, 0)]
