"""SIGHUP and POST /-/reload: what is good is taken, what is broken leaves the old in force."""

import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import requests
import sysv_ipc

from exporter.web.live import LiveWebConfig
from tests.support.program import Program, running

GOOD = "queues:\n  names:\n    - {name: one, key: 0x4f560001}\n"
BROKEN = "queues:\n  name: []\n"


def wait_for_line(program: Program, text: str, count: int = 1) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [line for line in list(program.log) if text in line]
        if len(found) >= count:
            return found[-1]
        time.sleep(0.01)
    raise AssertionError(f"{text!r} is not in {program.log}")


def successful(program: Program) -> float | None:
    return program.value("openvpn_mq_exporter_config_last_reload_successful")


def test_sighup_with_a_broken_file_and_again_with_a_good_one(tmp_path: Path) -> None:
    """The log names file and line; the metrics say it; it serves on."""
    config = tmp_path / "exporter.yml"
    config.write_text(GOOD)
    with running(f"--config.file={config}", "--collector.disable-defaults", "--collector.limits") as program:
        assert successful(program) == 1
        first = program.value("openvpn_mq_exporter_config_last_reload_success_timestamp_seconds")
        config.write_text(BROKEN)
        program.process.send_signal(signal.SIGHUP)
        assert f"{config}:2: unknown key 'name'" in wait_for_line(program, "configuration not reloaded")
        assert successful(program) == 0
        assert program.value("openvpn_mq_exporter_config_last_reload_success_timestamp_seconds") == first
        config.write_text(GOOD)
        program.process.send_signal(signal.SIGHUP)
        wait_for_line(program, "configuration reloaded")
        assert successful(program) == 1
        last = program.value("openvpn_mq_exporter_config_last_reload_success_timestamp_seconds")
        assert first is not None
        assert last is not None
        assert last > first
        assert program.stop() == 0


def test_a_replaced_file_that_is_mounted_by_itself(tmp_path: Path) -> None:
    """The path leads to the old file for good, as a descriptor's does: a reload must not look as if it had worked."""
    config, new = tmp_path / "exporter.yml", tmp_path / "new.yml"
    config.write_text(GOOD)
    new.write_text(GOOD)
    with config.open() as held:
        mounted = f"/proc/{os.getpid()}/fd/{held.fileno()}"
        with running(f"--config.file={mounted}", "--collector.disable-defaults", "--collector.limits") as program:
            assert successful(program) == 1
            program.process.send_signal(signal.SIGHUP)
            wait_for_line(program, "configuration reloaded")
            new.replace(config)
            program.process.send_signal(signal.SIGHUP)
            assert "restart it" in wait_for_line(program, "configuration not reloaded")
            assert successful(program) == 0
            assert program.stop() == 0


def test_reload_by_post(tmp_path: Path) -> None:
    """200, or 500 with the reason; by GET it is 405."""
    config = tmp_path / "exporter.yml"
    config.write_text(GOOD)
    with running(f"--config.file={config}", "--collector.disable-defaults", "--collector.limits") as program:
        url = f"{program.url}/-/reload"
        answer = requests.get(url, timeout=10)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert requests.post(url, timeout=10).status_code == 200
        config.write_text(BROKEN)
        answer = requests.post(url, timeout=10)
        assert answer.status_code == 500
        assert answer.text.startswith(f"failed to reload: {config}:2: unknown key 'name'")
        assert successful(program) == 0


def test_a_broken_web_configuration_keeps_the_other_one_out_too(tmp_path: Path) -> None:
    """Either all of it is put into force or nothing."""
    config, web = tmp_path / "exporter.yml", tmp_path / "web.yml"
    config.write_text(GOOD)
    web.write_text("")
    flags = (
        f"--config.file={config}",
        f"--web.config.file={web}",
        "--collector.disable-defaults",
        "--collector.limits",
    )
    with running(*flags) as program:
        program.page()
        web.write_text("basic_auth_users: {ann: secret}\n")
        answer = requests.post(f"{program.url}/-/reload", timeout=10)
        assert answer.status_code == 500
        assert "'ann' is not a bcrypt hash" in answer.text
        assert successful(program) == 0
        web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
        deadline = time.monotonic() + 20
        while successful(program) != 1 and time.monotonic() < deadline:
            time.sleep(0.1)  # it is read again by itself
        assert successful(program) == 1
        assert requests.get(program.url, timeout=10).headers["X-Frame-Options"] == "deny"


def test_a_web_configuration_that_was_empty_at_the_start_is_told_when_it_is_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "web.yml"
    path.touch()
    live = LiveWebConfig(path)
    live.apply(live.read())
    assert not caplog.messages, "nothing has changed"
    path.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    live.apply(live.read())
    assert caplog.messages == ["web configuration, certificates or users have changed and are in force"]


@pytest.mark.parametrize("flag", ["--config.file", "--web.config.file"])
def test_a_start_with_a_broken_file_is_refused(flag: str, tmp_path: Path) -> None:
    config = tmp_path / "broken.yml"
    config.write_text("junk: 1\n")
    with running(f"{flag}={config}") as program:
        assert program.process.wait(20) == 2
        program.stop()
        assert any(f"{config}:1: unknown key 'junk'" in line for line in program.log)


def reload(program: Program) -> None:
    answer = requests.post(f"{program.url}/-/reload", timeout=10)
    assert (answer.status_code, answer.text) == (200, "reloaded\n")


def eventually(program: Program, name: str, wanted: float | None, **labels: str) -> None:
    deadline = time.monotonic() + 20
    while (found := program.value(name, **labels)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_servers_come_and_go_and_counters_go_on(tmp_path: Path) -> None:
    """A server that stays keeps its count over reloads; one that is new is read, one that is gone has no series."""
    config, first, second = tmp_path / "exporter.yml", tmp_path / "first.log", tmp_path / "second.log"
    first.touch()
    second.touch()

    def configure(*logs: Path) -> None:
        config.write_text("servers:\n" + "".join(f"  - {{name: {log.stem}, log: {log}}}\n" for log in logs))

    def write(log: Path, count: int) -> None:
        with log.open("a") as file:
            file.write("2026-01-01 00:00:00 a line\n" * count)

    lines = "openvpn_log_lines_total"
    configure(first)
    with running(f"--config.file={config}", "--collector.disable-defaults", "--collector.log") as program:
        program.page()
        write(first, 5)
        eventually(program, lines, 5, server="first")
        configure(first, second)
        reload(program)
        eventually(program, lines, 0, server="second")
        write(first, 2)
        write(second, 3)
        eventually(program, lines, 7, server="first")
        eventually(program, lines, 3, server="second")
        configure(second)
        reload(program)
        eventually(program, lines, None, server="first")
        write(second, 1)
        eventually(program, lines, 4, server="second")
        config.write_text("servers: [{name: second}]\n")
        assert requests.post(f"{program.url}/-/reload", timeout=10).status_code == 500
        write(second, 1)
        eventually(program, lines, 5, server="second")
        assert program.stop() == 0


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize(
    ("collector", "metric"),
    [("queues", "sysv_msg_queue_messages"), ("waiters", "sysv_msg_queue_last_sender_running")],
)
def test_queues_get_their_new_names(tmp_path: Path, collector: str, metric: str) -> None:
    """Whichever collectors are on."""
    sysv_ipc.MessageQueue(0x4F560001, sysv_ipc.IPC_CREX).send(b"x")
    config = tmp_path / "exporter.yml"
    config.write_text(GOOD)
    with running(f"--config.file={config}", "--collector.disable-defaults", f"--collector.{collector}") as program:
        assert program.value(metric, queue="one") == 1
        config.write_text(GOOD.replace("one", "two"))
        reload(program)
        eventually(program, metric, 1, queue="two")
        assert program.value(metric, queue="one") is None
        assert program.stop() == 0


def test_sighup_during_the_start_does_not_end_it() -> None:
    """Whenever it comes, from the first line of the program's own on."""
    for delay in (0.0, 0.05, 0.1, 0.2):
        with running("--collector.disable-defaults", "--collector.limits", before=[*HUP_AFTER, str(delay)]) as program:
            assert program.page()
            time.sleep(delay)  # behind the signal
            assert program.stop() == 0


# Sends SIGHUP to itself so many seconds after the exporter's main() has begun.
HUP_AFTER = [sys.executable, "-c", """
import os, runpy, signal, sys, threading
import exporter.cli
delay = float(sys.argv[1])
sys.argv = sys.argv[sys.argv.index("-m") + 1:]
main = exporter.cli.main
def late():
    os.kill(os.getpid(), signal.SIGHUP)
parse = exporter.cli.command_line
def command_line():
    threading.Timer(delay, late).start() if delay else late()
    return parse()
exporter.cli.command_line = command_line
sys.exit(main(sys.argv[1:]))
"""]  # fmt: skip
