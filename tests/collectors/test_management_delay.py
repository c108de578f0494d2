"""The management collector while a real OpenVPN is blocked, or serves another management client."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.openvpn import Lab, OpenVpn
from tests.support.pages import collected
from tests.support.watched import REASONS, S, configured, failures, of, wait_value, watching

HOLD = """
import socket, sys
other = socket.socket(socket.AF_UNIX)
other.connect(sys.argv[1])
print(other.recv(4096).decode(), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(server: OpenVpn) -> Iterator[None]:
    """Another client that holds the management interface; from the server's own namespace, as on a real host."""
    command = server.namespace.command(sys.executable, "-c", HOLD, str(server.management))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().startswith(b">INFO")
        yield
        other.communicate()


def test_a_script_that_sleeps_blocks_the_loop_and_the_histogram_and_pending_show_it(lab: Lab) -> None:
    """6 s of a client-connect script: nobody else is served, and a patient poll waits for all of it."""
    script = lab.script("connect", "sleep 6")
    server = lab.server(f"client-connect {script}")
    with watching(configured(server), of(server)) as collector:
        wait_value(collector, "openvpn_management_up", 1)
        begun = time.monotonic()
        client = lab.client("alice")
        highest = 0.0

        def pending() -> float:
            return collected([collector]).get("openvpn_management_command_pending_seconds", S) or 0.0

        while time.monotonic() - begun < 90 and (highest < 4.0 or pending() > 1.0):
            highest = max(highest, pending())
            time.sleep(0.02)
        client.wait_connected()
        wait_value(collector, "openvpn_server_connected_clients", 1)
        samples = collected([collector])
        assert highest >= 4.0
        assert (samples.get("openvpn_management_command_duration_seconds_sum", S) or 0) >= 5.0
        name = "openvpn_management_command_duration_seconds_bucket"
        assert (samples.get(name, S | {"le": "+Inf"}) or 0) > (samples.get(name, S | {"le": "4.0"}) or 0)
        assert failures(samples) == dict.fromkeys(REASONS, 0.0)


@pytest.mark.parametrize("witness", ["status file", "sockets"])
def test_a_blocked_loop_is_a_timeout_and_a_held_interface_is_busy(lab: Lab, witness: str) -> None:
    """Both look alike from outside; the status file tells them apart, and so does the kernel's table of sockets."""
    server = lab.server()
    short = replace(configured(server), management_timeout=5.0 if witness == "status file" else 1.0)
    if witness == "status file":
        short = replace(short, status=server.status, status_interval=1.0)
    procfs = lab.folder if witness == "status file" else of(server)
    with watching(short, procfs) as collector:
        wait_value(collector, "openvpn_management_up", 1)
        with holding(server):
            samples = wait_value(collector, "openvpn_management_up", 0)
            assert failures(samples)["busy"] == 1
            assert failures(samples)["timeout"] == 0
            assert samples.get("openvpn_server_connected_clients", S) is None, "it is not known now"
        busy = failures(wait_value(collector, "openvpn_management_up", 1))["busy"]
        server.process.send_signal(signal.SIGSTOP)  # as a script does, and for as long as it takes
        samples = wait_value(collector, "openvpn_management_up", 0)
        server.process.send_signal(signal.SIGCONT)
        assert (failures(samples)["timeout"] or 0) >= 1
        samples = wait_value(collector, "openvpn_management_up", 1)
        others = failures(samples)
        assert (others["refused"], others["auth"], others["protocol"]) == (0, 0, 0)
        assert busy is not None
        overlooked = 1 if server.version().startswith("2.7") else 0  # docs/management.md: polls by OpenVPN 2.7
        assert busy <= (others["busy"] or 0) <= busy + overlooked


def test_a_script_that_sleeps_longer_than_the_limit_is_a_timeout(lab: Lab) -> None:
    """With the default limits, and no status file: what most people have."""
    server = lab.server(f"client-connect {lab.script('connect', 'sleep 12')}")
    usual = replace(configured(server), management_timeout=5.0, management_interval=1.0)
    with watching(usual, of(server)) as collector:
        wait_value(collector, "openvpn_management_up", 1)
        lab.client("alice").wait_connected()
        wait_value(collector, "openvpn_management_up", 1)
        counted = failures(collected([collector]))
    assert (counted["timeout"] or 0) >= 1
    assert {**counted, "timeout": 0.0} == dict.fromkeys(REASONS, 0.0)
