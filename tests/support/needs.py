"""What a test needs: programs, root, an IPC namespace of the tests' own; else a skip, or a failure on CI."""

import contextlib
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sysv_ipc

CLONE_NEWIPC = 0x08000000
NOBODY = 65534

_private = False


def leave_ipc_namespace() -> None:
    """Leave the host's IPC namespace, for this process and all that it starts: no test can touch a real queue."""
    global _private  # noqa: PLW0603  # called once per worker, and fixtures ask how it went
    _private = ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWIPC) == 0


def need_private_queues() -> None:
    """Skip (on CI: fail) if the tests could not leave the host's IPC namespace."""
    if not _private:
        missing("cannot make a private IPC namespace (unshare --ipc); run as root: make test")


def missing(what: str) -> None:
    """End the test because something is not there: a failure on CI, a skip that says what to do elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def need(*programs: str) -> None:
    """Skip (on CI: fail) where one of the programs that `make tools` installs is missing."""
    places = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    for program in programs:
        if not any(Path(place, program).exists() for place in places):
            missing(f"{program} is not installed; run as root: make tools")


def need_root() -> None:
    """Skip (on CI: fail) where the tests do not run as root."""
    if os.geteuid() != 0:
        missing("this test makes namespaces; run as root: make test")


def need_nobody() -> None:
    """Skip (on CI: fail) if programs of this checkout cannot be run as the user nobody."""
    need_root()
    need("setpriv")
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
    tried = subprocess.run([*command, sys.executable, "-c", "import exporter"], capture_output=True, check=False)
    if tried.returncode:
        missing("the user nobody cannot read this checkout: clone it to /srv, or chmod o+x the folders above it")


def remove_all_queues() -> None:
    """Every queue of the tests' own namespace; only ever called there."""
    assert _private
    listing = subprocess.run(["ipcs", "-q"], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        if line.startswith("0x"):
            with contextlib.suppress(sysv_ipc.ExistentialError):  # its maker was quicker
                sysv_ipc.remove_message_queue(int(line.split()[1]))
