"""A real OpenVPN whose log goes through real syslog daemons, journald and supervisors, to files and to the exporter."""

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.journald import journald
from tests.support.logged import WARNING, finish, lines_of, watched_file
from tests.support.needs import need
from tests.support.openvpn import Lab, wait_until
from tests.support.program import Program, running
from tests.support.syslog import Kind, syslog

DROPPED = "192.0.2.1:5 MULTI: packet dropped due to output saturation (multi_add_mbuf)"


def failures(program: Program, server: str) -> float | None:
    labels = {"hook": "client-connect", "reason": "exit_status"}
    return program.value("openvpn_script_failures_total", server=server, **labels)


def wait_failures(program: Program, server: str, number: int) -> None:
    wait_until(lambda: failures(program, server) == number, f"failure {number} of {server}")


def drops(program: Program, server: str) -> float | None:
    return program.value("openvpn_packets_dropped_total", server=server, reason="output_saturation")


@pytest.mark.parametrize(
    ("kind", "files"), [("rsyslogd", ["traditional", "precise", "rfc5424"]), ("busybox", ["messages"])]
)
def test_syslog(kind: Kind, files: list[str], tmp_path: Path) -> None:
    """OpenVPN's own `syslog`, and another server with the same log, of which messages are repeated."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        daemon = stack.enter_context(syslog(kind))
        daemon.log("somebody", "a first line, so that the files are there")
        logs = [daemon.folder / f"{name}.log" for name in files]
        wait_until(lambda: all(log.exists() for log in logs), "the daemon writes")
        config = tmp_path / "config.yml"
        servers = [
            f"  - {{name: {log.stem}-{tag}, log: {log}, syslog_tag: {tag}}}\n"
            for log in logs
            for tag in ("ovpn-udp", "my-vpn")
        ]
        config.write_text("servers:\n" + "".join(servers))
        program = stack.enter_context(running(f"--config.file={config}", f"--state.directory={tmp_path / 'state'}"))
        wait_until(lambda: len(list((tmp_path / "state").glob("*.json"))) == len(files), "its places are remembered")
        # As --daemon does, but in the foreground: to syslog, and without stamps.
        lines = (f"client-connect {lab.script('connect', 'exit 3')}", "syslog ovpn-udp")
        server = lab.server(*lines, output=subprocess.DEVNULL, before=daemon.inside())
        lab.client("alice").wait_refused()
        daemon.log("my-vpn", *[DROPPED] * 50, f"alice/192.0.2.1:5 {WARNING}")
        daemon.log("somebody", WARNING)
        for log in logs:
            wait_failures(program, f"{log.stem}-my-vpn", 1)
            wait_failures(program, f"{log.stem}-ovpn-udp", 1)
            assert drops(program, f"{log.stem}-my-vpn") == 50
            assert drops(program, f"{log.stem}-ovpn-udp") == 0
            assert program.value("openvpn_log_unread_lines_total", server=f"{log.stem}-ovpn-udp") == 0
        assert ("message repeated 49 times: [" in logs[0].read_text()) == (kind == "rsyslogd")
        server.stop()


def test_a_journal_that_a_container_runtime_writes(tmp_path: Path) -> None:
    """Podman's conmon writes what the container's programs say, so that journald knows its name only."""
    unit = "vpn.service"
    config = tmp_path / "config.yml"
    config.write_text(f"servers: [{{name: s, journal: {unit}}}]\n")
    runtime = tmp_path / "conmon"
    shutil.copy(shutil.which("cat") or "", runtime)
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        journal = stack.enter_context(journald())
        stream = stack.enter_context(journal.stream(unit))
        flags = (f"--config.file={config}", f"--state.directory={tmp_path / 'state'}")
        program = stack.enter_context(running(*flags, before=journal.inside()))
        wait_until(lambda: any((tmp_path / "state").glob("*.json")), "the journal's end is remembered")
        conmon = stack.enter_context(subprocess.Popen([str(runtime)], stdin=subprocess.PIPE, stdout=stream.fileno()))
        connect = lab.script("connect", "echo 2026-11-26 10:00:00 cannot reach LDAP; exit 3")
        server = lab.server(f"client-connect {connect}", "suppress-timestamps", output=conmon.stdin)
        assert conmon.stdin
        for number in (1, 2):
            lab.client("alice").wait_refused()
            wait_failures(program, "s", number)
        server.stop()
        conmon.stdin.close()


def test_svlogd(tmp_path: Path) -> None:
    """A supervisor of runit, which stamps each line of OpenVPN's and of its scripts."""
    need("svlogd")
    folder = tmp_path / "log"
    folder.mkdir()
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        logger = stack.enter_context(subprocess.Popen(["svlogd", "-tt", str(folder)], stdin=subprocess.PIPE))
        assert logger.stdin
        wait_until((folder / "current").exists, "svlogd writes")
        program = stack.enter_context(
            running(f"--openvpn.log={folder / 'current'}", f"--state.directory={tmp_path / 's'}")
        )
        wait_until(lambda: any((tmp_path / "s").glob("*.json")), "its place is remembered")
        connect = lab.script("connect", f"echo '{WARNING}'; printf '{{\"error\":1}}'; exit 3")
        server = lab.server(f"client-connect {connect}", output=logger.stdin)
        lab.client("alice").wait_refused()
        server.stop()
        logger.stdin.close()
        logger.wait()
        lines = (folder / "current").read_text().count("\n")
        wait_until(lambda: program.value("openvpn_log_lines_total", server="current") == lines, "all lines")
        assert failures(program, "current") == 1


def test_dated_lines_of_scripts_without_stamps_of_openvpns(tmp_path: Path) -> None:
    """As Debian's unit runs it: --suppress-timestamps."""
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        connect = lab.script("connect", "date '+%F %T cannot reach LDAP'; exit 3")
        server = watched.server(f"client-connect {connect}", "suppress-timestamps")
        for _ in range(3):
            lab.client("alice").wait_refused()
        assert finish(watched, server) == {("client-connect", "exit_status"): 3}


@pytest.mark.parametrize("command", ["printf '{\"error\":1}'", "printf 'x\\n\\033[0m'", "printf '10%%\\r20%%\\r' >&2"])
def test_output_of_scripts_without_a_newline(tmp_path: Path, command: str) -> None:
    """As curl -s prints; OpenVPN's own line follows on the same line."""
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        server = watched.server(f"client-connect {lab.script('connect', f'{command}; exit 3')}")
        for _ in range(2):
            lab.client("alice").wait_refused()
        assert finish(watched, server) == {("client-connect", "exit_status"): 2}


def test_a_restart_that_drops_the_stamps(tmp_path: Path) -> None:
    """Into the same log, as when --suppress-timestamps moves to the unit."""
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        connect = f"client-connect {lab.script('connect', 'exit 3')}"
        server = watched.server(connect)
        lab.client("alice").wait_refused()
        server.stop()
        again = watched.server(connect, "suppress-timestamps")
        lab.client("alice").wait_refused()
        again.stop()
        assert watched.settle(lambda: lines_of(again)) == {("client-connect", "exit_status"): 2}
