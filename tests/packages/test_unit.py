"""The unit of the exporter with its drop-in: the sandbox lets through what the exporter does."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

from exporter.check.grant import drop_in
from exporter.config.model import Config
from tests.support.needs import need

UNIT = Path(__file__).parents[2] / "deploy" / "openvpn-mq-exporter.service"


@cache
def calls(name: str) -> frozenset[str]:
    """The system calls of a group of systemd's; of a call, itself."""
    if not name.startswith("@"):
        return frozenset({name})
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    members = [line.strip() for line in listed[1:] if line.strip() and not line.strip().startswith("#")]
    return frozenset().union(*map(calls, members))


def allowed(text: str) -> frozenset[str]:
    """What the lines of a unit come to, in their order."""
    found: frozenset[str] = frozenset()
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            names = frozenset().union(*map(calls, value.removeprefix("~").split()))
            found = found - names if value.startswith("~") else found | names
    return found


def test_system_calls() -> None:
    """None of the privileged ones; with access.conf those that watch for executions, which systemd has among them."""
    need("systemd-analyze")
    unit = UNIT.read_text()
    used = {"name_to_handle_at", "msgctl", "recvmsg"}
    assert used <= allowed(unit)
    assert allowed(unit).isdisjoint(calls("@privileged"))
    watching = allowed(unit + drop_in((), (), Config(), lambda _: None)) - allowed(unit)
    assert watching == {"fanotify_init", "fanotify_mark"}


@pytest.mark.parametrize("name", ["msgsnd", "msgrcv"])
def test_the_groups_of_systemd_are_read(name: str) -> None:
    need("systemd-analyze")
    assert name in calls("@system-service") - calls("@privileged")
