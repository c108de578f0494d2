"""What an operator sees of it: the exporter as a process, with several servers."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.needs import need
from tests.support.openvpn import pki, wait_until
from tests.support.program import Program, running

FAILURES = "openvpn_script_failures_total"
WARNING = "2026-11-26 10:00:00 1.2.3.4:5 WARNING: Failed running command (--client-connect): external program exited \
with error status: 3\n"


@contextmanager
def following(tmp_path: Path, *servers: dict[str, str], **env: str) -> Iterator[Program]:
    """An exporter of these servers that has looked at each log once."""
    config, state = tmp_path / "config.yml", tmp_path / "state"
    config.write_text(json.dumps({"servers": servers}))
    flags = (f"--config.file={config}", f"--state.directory={state}", "--collector.disable-defaults", "--collector.log")
    with running(*flags, env=env) as program:
        logs = [server for server in servers if "log" in server]
        wait_until(lambda: state.exists() and len(list(state.glob("*.json"))) >= len(logs), "the logs are looked at")
        yield program


def failures(program: Program, server: str) -> float | None:
    return program.value(FAILURES, server=server, hook="client-connect", reason="exit_status")


def append(log: Path, times: int = 1) -> None:
    with log.open("a") as file:
        file.write(WARNING * times)


@pytest.mark.parametrize("journalctl", ["exec sleep 60", "echo -- cursor: c0 >&2; exec 1>&2; exec sleep 60"])
def test_a_journalctl_that_hangs_delays_neither_other_logs_nor_the_stop(tmp_path: Path, journalctl: str) -> None:
    fake, log = tmp_path / "bin" / "journalctl", tmp_path / "f.log"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{journalctl}\n")
    fake.chmod(0o755)
    log.touch()
    servers = {"name": "j", "journal": "openvpn-server@j.service"}, {"name": "f", "log": str(log)}
    with following(tmp_path, *servers, PATH=f"{fake.parent}:/usr/bin:/bin") as program:
        append(log)
        wait_until(lambda: failures(program, "f") == 1, "the other server's line is counted", 5)
        begin = time.monotonic()
        assert program.stop() == 0
        assert time.monotonic() - begin < 3


def test_a_journal_that_can_never_be_read_is_a_failure_at_every_scrape(tmp_path: Path) -> None:
    """Its cursor is remembered from a time when it could be: else the alert would never see a failure that lasts."""
    fake = tmp_path / "bin" / "journalctl"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\ncase "$*" in *--follow*) echo no >&2; exit 1;; esac\necho "-- cursor: c0"\n')
    fake.chmod(0o755)
    server = {"name": "j", "journal": "openvpn-server@j.service"}
    with following(tmp_path, server, PATH=f"{fake.parent}:/usr/bin:/bin") as program:

        def success() -> float | None:
            return program.value("openvpn_mq_scrape_collector_success", collector="log")

        wait_until(lambda: success() == 0, "the failure is seen")
        end, seen = time.monotonic() + 5, set()
        while time.monotonic() < end:
            seen.add(success())
            time.sleep(0.1)
        assert seen == {0}
        assert (program.value("openvpn_log_read_errors_total", server="j") or 0) >= 3
        assert sum("journalctl ended: no" in line for line in program.log) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("server.log", "server-443.log"), ("openvpn.log", "openvpn.2.log"), ("server.log", "server-2.log")],
)
def test_the_logs_of_several_servers_in_one_folder(tmp_path: Path, one: str, other: str) -> None:
    """Each is one server's own, though it may be named as a rotated file of the other's."""
    udp, tcp = tmp_path / one, tmp_path / other
    for log in (udp, tcp):
        log.touch()
    servers = {"name": "udp", "log": str(udp)}, {"name": "tcp", "log": str(tcp)}
    with following(tmp_path, *servers) as program:
        append(tcp)
        wait_until(lambda: failures(program, "tcp") == 1, "its line is counted")
        append(udp)
        wait_until(lambda: (failures(program, "udp") or 0) >= 1, "its line is counted")
        time.sleep(1)
        assert (failures(program, "udp"), failures(program, "tcp")) == (1, 1)


def test_a_sibling_does_not_push_out_the_rotated_log(tmp_path: Path) -> None:
    """OpenVPN goes on writing into the renamed file; the logs of two other servers are being written meanwhile."""
    logs = [tmp_path / name for name in ("server.log", "server-443.log", "server-80.log")]
    for log in logs:
        log.touch()
    with following(tmp_path, *({"name": log.stem, "log": str(log)} for log in logs)) as program:
        for log in logs:
            append(log)
        wait_until(lambda: all(failures(program, log.stem) == 1 for log in logs), "each has a line")
        logs[0].rename(tmp_path / "server.log.1")
        logs[0].touch()

        def counted(lines: int) -> bool:
            return failures(program, "server-80") == lines

        for number in range(5):
            append(tmp_path / "server.log.1")
            for log in logs[1:]:
                append(log)
            wait_until(partial(counted, number + 2), "its line is counted")
        wait_until(lambda: failures(program, "server") == 6, "the renamed file is followed")


def test_a_server_that_fails_to_start_in_the_same_way_counts_each_time(tmp_path: Path) -> None:
    """A real OpenVPN whose port is taken, with `log` and `suppress-timestamps`: it writes the same text each time."""
    need("openvpn")
    log = tmp_path / "server.log"
    log.touch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        options = ["--dev", "null", "--local", "127.0.0.1", "--port", str(taken.getsockname()[1])]
        options += ["--tls-server", "--dh", "none", "--suppress-timestamps", "--verb", "3", "--log", str(log)]
        for line in pki().options("server", usage="serverAuth"):
            options += f"--{line}".split()
        texts = set()
        with following(tmp_path, {"name": "s", "log": str(log)}) as program:
            for _ in range(4):
                assert subprocess.run(["openvpn", *options], check=False).returncode == 1
                texts.add(log.read_bytes())
                time.sleep(2.2)
            assert len(texts) == 1
            assert program.value("openvpn_log_events_total", server="s", event="fatal_exit") == 4
            assert program.value("openvpn_log_lines_total", server="s") == 4 * texts.pop().count(b"\n")
