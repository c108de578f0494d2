"""Scripts in storms: of clients that connect, and of other processes of the host."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.counted_scripts import FLAGS, blocked, counted, failures, need_process_events, runs
from tests.support.fake_openvpn import FakeOpenVpn, Storm
from tests.support.needs import need
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running
from tests.support.site_scripts import ScriptedServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("process_events")]

CLIENTS = 300
AT_ONCE = 20
DEEDS = ("good", "fail", "crash", "wrong", "good", "good")


def test_three_hundred_clients() -> None:
    """Twenty at a time: runs, failures and durations are those that the scripts wrote down."""
    need_process_events()
    need("openvpn")
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        site = ScriptedServer(lab, "storm", "max-clients 400")
        for first in range(0, CLIENTS, AT_ONCE):
            deeds = [DEEDS[number % len(DEEDS)] for number in range(first, first + AT_ONCE)]
            clients = [(deed, site.client(deed)) for deed in deeds]
            for deed, client in clients:
                client.wait_connected() if deed == "good" else client.wait_refused()
            for _, client in clients:
                client.stop()
        site.quiet()
        site.server.stop()

        truth = site.counts()
        assert truth["client-connect"] + truth["auth-user-pass-verify"] >= CLIENTS
        wait_until(lambda: runs(program, "storm") == truth, f"{truth}, not {runs(program, 'storm')}", 20)
        ended = site.runs()
        failed = Counter((run.hook, "exit_status") for run in ended if run.status) + Counter(
            (run.hook, "signal") for run in ended if run.status is None
        )
        assert failed["client-connect", "exit_status"] == failed["client-connect", "signal"] == CLIENTS / len(DEEDS)
        assert failures(program, "storm") == failed
        assert counted(program, "openvpn_script_duration_seconds_count", "storm", "hook") == truth
        own = sum(run.seconds or 0 for run in ended)
        assert own <= blocked(program, "storm") <= own + 0.2 * truth.total()
        assert program.value("openvpn_script_events_lost_total") == 0


def test_other_processes_of_the_host(tmp_path: Path) -> None:
    """Two thousand a second, or as many as the machine can start, for five seconds: no script is missed."""
    need_process_events()
    script = tmp_path / "learn.sh"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    with running(*FLAGS) as program, FakeOpenVpn(tmp_path, "beside", script) as openvpn:
        program.addresses()

        def is_followed() -> bool:
            openvpn.run(1)
            return runs(program, "beside")["learn-address"] > 0

        wait_until(is_followed, "it is found", 30)
        time.sleep(0.5)  # what is still on its way
        before = runs(program, "beside")["learn-address"]
        memory = _resident(program.process.pid)
        storm = Storm(2000, 5)
        ran = 0
        while not storm.is_over():
            openvpn.run(10)
            ran += 10
            time.sleep(0.02)
        assert storm.count() > 1000, "it was a storm"
        assert ran > 100
        wait_until(lambda: runs(program, "beside")["learn-address"] == before + ran, f"{before} and {ran}", 10)
        assert failures(program, "beside")["learn-address", "exit_status"] >= ran
        assert program.value("openvpn_script_events_lost_total") == 0
        assert _resident(program.process.pid) < memory + 4096


def _resident(pid: int) -> int:
    """The memory that a process has, in KiB."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])
