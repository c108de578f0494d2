"""Every script of a real OpenVPN, from the kernel's reports; what the scripts themselves wrote down is the truth."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.counted_scripts import FLAGS, blocked, counted, failures, need_process_events, runs
from tests.support.fake_openvpn import FakeOpenVpn
from tests.support.hooks import HOOK, as_nobody
from tests.support.hooks import lines as read_lines
from tests.support.needs import missing, need
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running
from tests.support.site_scripts import ScriptedServer

# A storm of processes, which one of them makes on purpose, would cost the others events.
pytestmark = pytest.mark.xdist_group("process_events")


@pytest.mark.timeout(180)
def test_all_eleven_kinds() -> None:
    """Runs, failures and durations of each; from the start of OpenVPN, its `up`, to its end, its `down`."""
    need_process_events()
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        site = ScriptedServer(lab, "kinds")
        good = site.client("good")
        good.wait_connected()
        for deed in ("fail", "crash", "wrong"):
            site.client(deed).wait_refused()
        site.client("stranger")
        site.server.wait_for("VERIFY SCRIPT ERROR")
        slow = site.client("slow")
        slow.wait_connected()
        site.deferred_client().wait_connected()
        for client in (good, slow):
            client.stop()
        site.quiet()
        site.scripts["client-disconnect"].chmod(0o644)
        late = site.client("late")
        late.wait_connected()
        late.stop()
        site.server.wait_for("(--client-disconnect): could not execute external program")
        site.server.stop()

        truth = site.counts()
        assert set(truth) == set(site.scripts), "every script has run"
        truth["client-disconnect"] += site.server.text().count("(--client-disconnect): could not execute")
        not_executed = truth["client-disconnect"] - site.counts()["client-disconnect"]
        wait_until(lambda: runs(program, "kinds") == truth, f"{truth}, not {runs(program, 'kinds')}", 10)
        verified = Counter(line.split()[1] for line in site.truth.read_text().splitlines() if line.startswith("end"))
        assert failures(program, "kinds") == {
            ("client-connect", "exit_status"): 1,
            ("client-connect", "signal"): 1,
            ("auth-user-pass-verify", "exit_status"): 1,
            ("tls-verify", "exit_status"): failures(program, "kinds")["tls-verify", "exit_status"],
            ("client-disconnect", "not_executable"): not_executed,
        }
        assert failures(program, "kinds")["tls-verify", "exit_status"] >= 1
        assert verified["client-connect"] == truth["client-connect"] - 1  # all but the one that crashed
        assert counted(program, "openvpn_script_duration_seconds_count", "kinds", "hook") == truth
        total = 0.0
        for hook, count in truth.items():
            own = sum(run.seconds or 0 for run in site.runs() if run.hook == hook)
            most = sum(run.since_fork or 0 for run in site.runs() if run.hook == hook)
            took = program.value("openvpn_script_duration_seconds_sum", server="kinds", hook=hook) or 0
            assert own <= took <= most + 0.2 * count, hook  # ending the interpreter takes its time
            total += took
        assert blocked(program, "kinds") == pytest.approx(total)
        assert total >= 1  # the slow one
        assert program.value("openvpn_script_events_lost_total") == 0
        assert counted(program, "openvpn_script_running", "kinds", "hook") == {}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_long_forking_and_missing_scripts() -> None:
    """And clients that connect again, and that vanish: each run once, and a daemon that a script leaves is none."""
    need_process_events()
    need("openvpn", "pkill", "setsid")
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        site = ScriptedServer(lab, "odd", "keepalive 1 3")
        again = site.client("good")
        again.wait_connected()
        again.process.send_signal(signal.SIGUSR1)
        again.wait_for("Initialization Sequence Completed", 2)
        site.client("daemon").wait_connected()
        wait_until(lambda: not counted(program, "openvpn_script_running", "odd", "hook"), "no script runs")
        site.client("long").wait_connected()
        vanishing = site.client("good")
        vanishing.wait_connected()
        vanishing.process.kill()
        site.server.wait_for("ping-restart")
        wait_until(lambda: site.counts()["client-disconnect"] >= 1, "the client that vanished is disconnected")
        site.quiet()
        site.scripts["client-disconnect"].unlink()
        again.stop()
        site.server.wait_for("(--client-disconnect): could not execute external program")
        site.server.stop()

        truth = site.counts()
        missing_runs = site.server.text().count("(--client-disconnect): could not execute external program")
        truth["client-disconnect"] += missing_runs
        assert truth["client-connect"] >= 5
        wait_until(lambda: runs(program, "odd") == truth, f"{truth}, not {runs(program, 'odd')}", 10)
        assert failures(program, "odd") == {("client-disconnect", "not_executable"): missing_runs}
        own = sum(run.seconds or 0 for run in site.runs() if run.hook == "client-connect")
        took = program.value("openvpn_script_duration_seconds_sum", server="odd", hook="client-connect")
        assert took is not None
        assert 5 <= own <= took <= own + 0.2 * truth["client-connect"]


@pytest.mark.timeout(120)
def test_started_in_the_middle() -> None:
    """A script that runs already is found: it runs, blocks, and ends with its whole duration."""
    need_process_events()
    with Lab() as lab:
        site = ScriptedServer(lab, "middle")
        site.client("hang")
        wait_until(lambda: site.counts()["client-connect"] == 1, "the script runs")
        begin = time.monotonic()
        time.sleep(1.5)
        with running(*FLAGS) as program:
            wait_until(lambda: runs(program, "middle") == {"client-connect": 1}, "it is found", 20)
            assert counted(program, "openvpn_script_running", "middle", "hook") == {"client-connect": 1}
            before = blocked(program, "middle")
            assert before > 1.5
            time.sleep(0.3)
            assert blocked(program, "middle") >= before + 0.3
            site.kill_running("client-connect")
            wait_until(lambda: not counted(program, "openvpn_script_running", "middle", "hook"), "it has ended", 20)
            assert failures(program, "middle") == {("client-connect", "signal"): 1}
            took = program.value("openvpn_script_duration_seconds_sum", server="middle", hook="client-connect")
            assert took == pytest.approx(time.monotonic() - begin, abs=2)


@pytest.mark.timeout(180)
def test_restarts_and_daemons() -> None:
    """OpenVPN that restarts, is started anew, goes into the background; beside it another one, with a plugin.

    Each `up` and `down` counts once, for its own server; what the plugin runs does not count.
    """
    need_process_events()
    need("openvpn", "pkill")
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        site = ScriptedServer(lab, "again")
        other = ScriptedServer(lab, "other", "port 1195", "dev tun1", "server 10.9.0.0 255.255.255.0", _down_root(lab))
        wait_until(lambda: other.counts()["route-up"] == 1, "the other one has started")
        site.server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: site.counts()["route-up"] == 2, "it has restarted")
        site.server.stop()
        wait_until(lambda: site.counts()["down"] == 2, "it has ended")
        command = ["openvpn", "--config", str(site.server.config), "--writepid", f"{lab.folder}/pid"]
        with subprocess.Popen(site.server.namespace.command(*command)) as process:
            wait_until(lambda: site.counts()["route-up"] == 3, "it has been started anew")
            process.terminate()
        assert site.server.run(*command, "--daemon").returncode == 0
        wait_until(lambda: site.counts()["route-up"] == 4, "it runs in the background")
        os.kill(int((lab.folder / "pid").read_text()), signal.SIGTERM)
        wait_until(lambda: site.counts()["down"] == 4, "it has ended")
        other.server.stop()
        wait_until((lab.folder / "down-root").exists, "the plugin has run its command")
        for each in (site, other):
            truth = each.counts()
            wait_until(lambda: runs(program, each.name) == truth, f"{truth}: {runs(program, each.name)}", 10)  # noqa: B023
        assert site.counts() == {"up": 4, "route-up": 4, "route-pre-down": 4, "down": 4}
        assert failures(program, "again") == failures(program, "other") == {}


def _down_root(lab: Lab) -> str:
    """The line of a plugin that runs a command of its own, in a process of its own."""
    library = Path("/usr/lib/x86_64-linux-gnu/openvpn/plugins/openvpn-plugin-down-root.so")
    if not library.exists():
        missing(f"{library} is not there; it comes with Debian's openvpn")
    script = lab.script("down-root.sh", f"/bin/false; touch {lab.folder}/down-root; exit 1")
    return f'plugin {library} "{script}"'


@pytest.mark.timeout(120)
def test_wrapped_scripts() -> None:
    """The same wrapper around each script: each counts once, under its own hook."""
    need_process_events()
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        record = lab.folder / "hooks.jsonl"
        hooks = ("client-connect", "client-disconnect", "learn-address")
        # So long that a busy machine lets the exporter look at the wrapper's arguments, which tell the hook.
        lines = [f'{hook} "{HOOK} --record {record} -- {lab.script(hook, "sleep 0.3")}"' for hook in hooks]
        server = lab.server(*lines, name="wrapped")
        client = lab.client("alice")
        client.wait_connected()
        client.stop()
        server.wait_for("client-instance exiting")
        server.stop()
        ended = [line for line in read_lines(record) if line["event"] == "end"]
        truth = Counter(line["hook"] for line in ended)
        assert set(truth) == set(hooks)
        wait_until(lambda: runs(program, "wrapped") == truth, f"{truth}: {runs(program, 'wrapped')}", 10)


@pytest.mark.timeout(120)
def test_without_rights() -> None:
    """As the user nobody, with no capability: every script counts all the same."""
    need_process_events()
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 6):
        missing(f"Linux {os.uname().release} reports processes to root only; it takes 6.6")
    with Lab() as lab, running(*FLAGS, before=as_nobody(lab.folder), cwd=Path("/")) as program:
        program.addresses()
        status = Path(f"/proc/{program.process.pid}/status").read_text()
        assert re.search(r"^Uid:\s+65534\s", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        site = ScriptedServer(lab, "plain")
        client = site.client("good")
        client.wait_connected()
        site.client("fail").wait_refused()
        client.stop()
        site.quiet()
        site.server.stop()
        truth = site.counts()
        wait_until(lambda: runs(program, "plain") == truth, f"{truth}: {runs(program, 'plain')}", 10)
        assert failures(program, "plain") == {("client-connect", "exit_status"): 1}


@pytest.mark.timeout(120)
@pytest.mark.slow  # it takes pids away from whatever else the host starts
def test_a_pid_that_another_process_got() -> None:
    """The children of a process that has the pid of an OpenVPN that ended are nobody's scripts."""
    need_process_events()
    with running(*FLAGS) as program, Lab() as lab:
        program.addresses()
        site = ScriptedServer(lab, "reused")
        found = {"server": "reused", "hook": "down"}  # beside other tests, perhaps only after its first scripts
        wait_until(lambda: program.value("openvpn_script_running", **found) is not None, "it has been found", 60)
        site.server.stop()
        wait_until(lambda: runs(program, "reused")["down"] == 1, "its last script has been counted", 10)
        before = runs(program, "reused")
        shell = _process_with_pid(site.server.process.pid)
        for _ in range(5):
            shell.stdin.write(b"/bin/sh -c 'exit 3'\n")  # type: ignore[union-attr]
        shell.communicate(timeout=30)
        time.sleep(1.5)
        assert runs(program, "reused") == before
        assert failures(program, "reused") == {}


def _process_with_pid(pid: int) -> subprocess.Popen[bytes]:
    """A shell that has this pid, which is free."""
    for _ in range(2000):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE)
        if process.pid == pid:
            return process
        process.communicate()
    raise AssertionError(f"no process got pid {pid}")


def test_a_reload_that_names_servers(tmp_path: Path) -> None:
    """From then on others do not count, and their series are gone; without names, each counts again."""
    need_process_events()
    script, config = tmp_path / "learn.sh", tmp_path / "exporter.yml"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    config.write_text("queues: {}\n")
    two = "servers: [{name: one, hooks: /nowhere/one}, {name: other, hooks: /nowhere/other}]\n"
    with running(*FLAGS, f"--config.file={config}") as program, FakeOpenVpn(tmp_path, "reloaded", script) as openvpn:
        program.addresses()

        def reload(text: str) -> None:
            config.write_text(text)
            program.process.send_signal(signal.SIGHUP)

        def counted(number: int = 0) -> float | None:
            openvpn.run(number)
            return program.value("openvpn_script_runs_total", server="reloaded", hook="learn-address")

        wait_until(lambda: bool(counted(1)), "it counts", 30)
        reload(two)
        wait_until(lambda: counted() is None, "it is none of the two", 10)
        openvpn.run(3)
        time.sleep(0.5)
        assert counted() is None
        reload("queues: {}\n")
        wait_until(lambda: bool(counted(1)), "it counts again", 10)
        reload(two)
        wait_until(lambda: counted() is None, "it is forgotten", 10)
