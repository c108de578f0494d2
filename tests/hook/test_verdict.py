"""Deferred answers: OpenVPN is not held up, and the record says what came of them."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.hook.jsonline import encode
from exporter.hook.record import Record
from exporter.hook.verdict import _Watch
from tests.support.hooks import HOOK, PATH, lines, script
from tests.support.openvpn import wait_until


def start(folder: Path, hook: str, body: str, control: Path) -> float:
    """Run the hook as OpenVPN does for a deferring script; returns the seconds that OpenVPN waited."""
    control.touch()
    variable = {"client-connect": "client_connect_deferred_file", "user-pass-verify": "auth_control_file"}[hook]
    environment = {**PATH, "script_type": hook, variable: str(control), "config": "/etc/openvpn/vpn.conf"}
    began = time.monotonic()
    command = [str(HOOK), "--record", str(folder / "record"), "--", script(folder, body, f"{control.name}.sh")]
    subprocess.run(command, env=environment, check=False, timeout=30)
    return time.monotonic() - began


def verdicts(folder: Path) -> list[dict[str, Any]]:
    """Lines of the record."""
    return [line for line in lines(folder / "record") if line["event"] == "verdict"]


def later(seconds: float, answer: str) -> str:
    """A script that answers in the background."""
    control = "${auth_control_file:-$client_connect_deferred_file}"
    return f'(sleep {seconds}; printf {answer} >"{control}") >/dev/null 2>&1 &'


def watchers(folder: Path) -> int:
    """Processes that run the hook for this record now."""
    found = subprocess.run(["pgrep", "-c", "-f", f"{folder}/record"], capture_output=True, text=True, check=False)
    return int(found.stdout)


@pytest.mark.parametrize(("answer", "verdict"), [("1", "ok"), ("0", "refused")])
def test_auth(tmp_path: Path, answer: str, verdict: str) -> None:
    """The hook ends with the script; the verdict follows, with its time from the script's start."""
    control = tmp_path / "control"
    waited = start(tmp_path, "user-pass-verify", later(1.5, answer) + " exit 2", control)
    assert waited < 1.4
    (end,) = [line for line in lines(tmp_path / "record") if line["event"] == "end"]
    assert (end["result"], end["exit"], end["control_file"]) == ("deferred", 2, str(control))
    wait_until(lambda: bool(verdicts(tmp_path)), "the verdict is recorded", 10)
    (line,) = verdicts(tmp_path)
    assert line["verdict"] == verdict
    assert line["verdict_seconds"] == pytest.approx(1.5, abs=0.5)
    assert {key: line[key] for key in ("server", "hook", "pid")} == {
        "server": "vpn",
        "hook": "auth-user-pass-verify",
        "pid": end["pid"],
    }


def test_client_connect(tmp_path: Path) -> None:
    """It says "deferred" by a 2 in its file, and exits with 0."""
    body = 'printf 2 >"$client_connect_deferred_file"; ' + later(0.3, "1")
    start(tmp_path, "client-connect", body, tmp_path / "control")
    wait_until(lambda: bool(verdicts(tmp_path)), "the verdict is recorded", 10)
    assert [(line["hook"], line["verdict"]) for line in verdicts(tmp_path)] == [("client-connect", "ok")]


def test_one_that_does_not_defer(tmp_path: Path) -> None:
    """No verdict, no process."""
    for hook, body in (("client-connect", "exit 0"), ("user-pass-verify", "exit 0"), ("user-pass-verify", "exit 1")):
        start(tmp_path, hook, body, tmp_path / "control")
    assert {line.get("result") for line in lines(tmp_path / "record")} == {None, "ok", "exit_status"}
    assert watchers(tmp_path) == 0


def test_openvpn_removes_the_file(tmp_path: Path) -> None:
    """With an answer in it, that counts; without, it was never decided."""
    for name in ("answered", "given-up"):
        start(tmp_path, "user-pass-verify", "exit 2", tmp_path / name)
    time.sleep(0.3)  # the process has both open
    (tmp_path / "answered").write_text("1")
    for name in ("answered", "given-up"):
        (tmp_path / name).unlink()
    wait_until(lambda: len(verdicts(tmp_path)) == 2, "both are recorded", 10)
    assert sorted(line["verdict"] for line in verdicts(tmp_path)) == ["ok", "undecided"]


def test_many_share_one_process(tmp_path: Path) -> None:
    """Each is recorded once, with its own answer and time; the process holds nothing of OpenVPN's, and ends."""
    count = 12
    for number in range(count):
        start(tmp_path, "user-pass-verify", later(1.5, str(number % 2)) + " exit 2", tmp_path / f"control{number}")
    assert watchers(tmp_path) == 1
    wait_until(lambda: len(verdicts(tmp_path)) >= count, "all are recorded", 20)
    time.sleep(0.3)
    found = verdicts(tmp_path)
    assert len({line["pid"] for line in found}) == len(found) == count
    assert sorted(line["verdict"] for line in found) == ["ok"] * 6 + ["refused"] * 6
    pid = int(subprocess.run(["pgrep", "-f", f"{tmp_path}/record"], capture_output=True, text=True, check=True).stdout)
    assert {os.readlink(f"/proc/{pid}/fd/{stream}") for stream in (0, 1, 2)} == {"/dev/null"}
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    wait_until(lambda: watchers(tmp_path) == 0, "it ends", 20)


def test_two_hooks_at_once(tmp_path: Path) -> None:
    """The one that began to watch after the other had written its line takes both; what has a verdict, has it once."""
    known: list[bytes] = []
    for pid, decided in ((7, False), (8, True), (9, False)):
        (tmp_path / f"{pid}").write_text("1")
        identity: dict[str, str | int | float | None] = {"server": "vpn", "hook": "auth-user-pass-verify", "pid": pid}
        told = {**identity, "time": time.time() - (601 if pid == 9 else 0), "event": "end"}
        known.append(encode({**told, "result": "deferred", "control_file": str(tmp_path / f"{pid}")}))
        if decided:
            known.append(encode({"time": time.time(), "event": "verdict", **identity, "verdict": "ok"}))
    (tmp_path / "record").write_bytes(b"".join(line + b"\n" for line in known))
    start(tmp_path, "user-pass-verify", later(0.5, "0") + " exit 2", tmp_path / "control")
    wait_until(lambda: len(verdicts(tmp_path)) >= 3, "both are recorded", 10)
    time.sleep(0.3)
    assert [(line["pid"], line["verdict"]) for line in verdicts(tmp_path)[:2]] == [(8, "ok"), (7, "ok")]
    assert [line["verdict"] for line in verdicts(tmp_path)[2:]] == ["refused"]


def test_it_ends_when_openvpns_unit_is_stopped(tmp_path: Path) -> None:
    """As systemd asks each process of the unit to; it would wait for 90 seconds."""
    start(tmp_path, "user-pass-verify", "exit 2", tmp_path / "control")
    pid = int(subprocess.run(["pgrep", "-f", f"{tmp_path}/record"], capture_output=True, text=True, check=True).stdout)
    time.sleep(0.3)  # it is on its own
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: watchers(tmp_path) == 0, "it ends", 5)


def test_a_rotated_record(tmp_path: Path) -> None:
    """Verdicts go into the new file; the old process ends with its last one, and the new file has its own."""
    once_told = f'(until [ -e {tmp_path}/go ]; do sleep 0.05; done; printf 1 >"$auth_control_file") >/dev/null 2>&1 &'
    start(tmp_path, "user-pass-verify", once_told + " exit 2", tmp_path / "one")
    (tmp_path / "record").rename(tmp_path / "record.1")
    start(tmp_path, "user-pass-verify", later(0.2, "0") + " exit 2", tmp_path / "other")
    wait_until(lambda: len(verdicts(tmp_path)) == 1, "the second is recorded", 10)
    (tmp_path / "go").touch()
    wait_until(lambda: len(verdicts(tmp_path)) == 2, "both are recorded", 10)
    assert [line["verdict"] for line in verdicts(tmp_path)] == ["refused", "ok"]


def test_a_line_that_is_written_while_the_process_makes_up_its_mind_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook that wrote it has found the record locked, so nobody else will read it."""
    path, control = tmp_path / "record", tmp_path / "control"
    path.touch()
    control.write_text("1")
    line = encode({"time": time.time(), "event": "end", "pid": 7, "control_file": str(control)})
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] >= 10.0 and not path.read_bytes():
            path.write_bytes(line + b"\n")

    for name, function in (("sleep", sleep), ("monotonic", lambda: clock[0])):
        monkeypatch.setattr(f"exporter.hook.verdict.time.{name}", function)
    with path.open("rb") as record:
        _Watch(record.fileno(), str(path), Record(str(path), 0o644)).run()
    assert [one["verdict"] for one in verdicts(tmp_path)] == ["ok"]


@pytest.mark.parametrize(
    "moment", ["1" + "0" * 400, "NaN", "1e18", "[" * 30_000], ids=["400 digits", "NaN", "a far future", "deep"]
)
def test_lines_that_no_hook_wrote(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to the record keeps the process neither from recording verdicts nor from ending."""
    path, control, open_control = tmp_path / "record", tmp_path / "control", tmp_path / "open"
    control.write_text("1")
    open_control.write_text("2")
    line = encode({"time": time.time(), "event": "end", "pid": 7, "control_file": str(control)})
    made_up = f'{{"pid":8,"control_file":"{open_control}","time":{moment}}}\n'
    path.write_bytes(made_up.encode() + line + b"\n")
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        assert clock[0] < 60

    for name, function in (("sleep", sleep), ("monotonic", lambda: clock[0])):
        monkeypatch.setattr(f"exporter.hook.verdict.time.{name}", function)
    with path.open("rb") as record:
        _Watch(record.fileno(), str(path), Record(str(path), 0o644)).run()
    recorded = [json.loads(one) for one in path.read_bytes().splitlines()[2:]]
    assert [(one["pid"], one["verdict"]) for one in recorded] == [(7, "ok")]
