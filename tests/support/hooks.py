"""Runs openvpn-mq-hook as OpenVPN does, and reads its record."""

import contextlib
import functools
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sysv_ipc

import exporter
from tests.support.needs import missing, need_root

HOOK = Path(sysconfig.get_path("scripts")) / "openvpn-mq-hook"
NOBODY = 65534
Command = list[str | Path]  # a command line
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def run(
    record: Path | str, *arguments: str, hook: Path = HOOK, environment: Mapping[str, str] = PATH, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the hook to its end with nothing else in its environment; `options` are those of subprocess.run."""
    command = [str(hook), "--record", str(record), *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=60, **options)  # noqa: PLW1510  # the caller looks at the status


def lines(record: Path) -> list[dict[str, Any]]:
    """The record, each line parsed."""
    return [json.loads(line) for line in record.read_text().splitlines()]


def last(record: Path) -> dict[str, Any]:
    """The last line, which is an end."""
    line = lines(record)[-1]
    assert line["event"] == "end"
    return line


def script(folder: Path, body: str, name: str = "script") -> str:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@functools.cache
def _interpreter() -> str:
    """One that nobody may execute: that of the tests, or else the system's of the same version."""
    need_root()
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        command = [python, "-c", "import sys; print(sys.version_info[:2])"]
        with contextlib.suppress(OSError):
            done = subprocess.run(
                command,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == str(sys.version_info[:2]):
                return python
    missing("no Python of this version that the user nobody may execute; install one outside of /root")
    raise AssertionError


def public_hook(folder: Path) -> Path:
    """The program, installed where any user may execute it: under `folder`, which must be open to all."""
    library = folder / "lib"
    source = Path(exporter.__file__).parent
    shutil.copytree(source / "hook", library / "exporter" / "hook")
    shutil.copy(source / "__init__.py", library / "exporter")
    shutil.copy(sysv_ipc.__file__, library)
    program = folder / "openvpn-mq-hook"
    program.write_text(
        f"#!{_interpreter()}\nimport sys\nsys.path.insert(0, {str(library)!r})\n"
        "from exporter.hook.program import main\nmain()\n"
    )
    for path in (library, *library.rglob("*"), program):
        path.chmod(0o755)
    return program


def as_nobody(folder: Path) -> list[str]:
    """What goes before a Python command line of this checkout, so that it runs as nobody, without any capability."""
    python = folder / "python-of-nobody"
    places = [Path(exporter.__file__).parent.parent, Path(sysconfig.get_path("purelib"))]
    path = ":".join(map(str, places))
    # In place of the interpreter that the command line names, and that nobody may not be able to execute.
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={path} PYTHONDONTWRITEBYTECODE=1 exec {_interpreter()} "$@"\n')
    python.chmod(0o755)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all", str(python)]
