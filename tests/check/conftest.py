"""The program as its user runs it, on a /proc that shows the OpenVPN processes of the test alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Result(NamedTuple):
    """What one run printed, and its exit status."""

    status: int
    text: str
    errors: str

    def json(self) -> dict[str, Any]:
        """The document."""
        document: dict[str, Any] = json.loads(self.text)
        assert document["exit_status"] == self.status
        return document


def proc_of(folder: Path, *pids: int) -> Path:
    """Make a /proc that has everything but processes, and of these only the given ones."""
    folder.mkdir()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (1, *pids):
            (folder / entry.name).symlink_to(entry)
    return folder


def run(*options: str, env: Mapping[str, str] | None = None) -> Result:
    """Run it with these options, its output through a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "exporter.check", *options],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def check(queues: None, tmp_path: Path) -> Callable[..., Result]:  # noqa: ARG001  # an IPC namespace of our own
    """Run it where no OpenVPN runs."""
    procfs = proc_of(tmp_path / "empty-proc", os.getpid())  # our own process sends and receives
    return lambda *options, **keywords: run(f"--path.procfs={procfs}", *options, **keywords)
