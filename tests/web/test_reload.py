"""SIGHUP and POST /-/reload: what is good is taken, what is broken leaves the old in force."""

import signal
import time
from pathlib import Path

import pytest
import requests

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


@pytest.mark.parametrize("flag", ["--config.file", "--web.config.file"])
def test_a_start_with_a_broken_file_is_refused(flag: str, tmp_path: Path) -> None:
    config = tmp_path / "broken.yml"
    config.write_text("junk: 1\n")
    with running(f"{flag}={config}") as program:
        assert program.process.wait(20) == 2
        program.stop()
        assert any(f"{config}:1: unknown key 'junk'" in line for line in program.log)
