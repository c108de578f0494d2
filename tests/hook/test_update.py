"""The status update: one message of the documented form, or a drop with its reason."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sysv_ipc

from tests.support.clientenv import CLIENT, SECRETS
from tests.support.hooks import NOBODY, PATH, last, public_hook, run, script

KEY = 0x4F560001
pytestmark = pytest.mark.usefixtures("queues")


def make(mode: int = 0o600, key: int = KEY) -> sysv_ipc.MessageQueue:
    return sysv_ipc.MessageQueue(key - (1 << 32) if key >> 31 else key, sysv_ipc.IPC_CREX, mode)


def became(folder: Path, *options: str, body: str = "exit 0", **environment: str) -> str:
    """What the record says became of the update; the script's status and standard error must not tell of it."""
    record = folder / "record"
    done = run(record, *options, "--", script(folder, body), environment={**PATH, **environment})
    assert (done.returncode, done.stderr) == (0, "")
    return str(last(record)["update"])


def receive(queue: sysv_ipc.MessageQueue) -> tuple[dict[str, Any], int]:
    body, kind = queue.receive(block=False)
    return json.loads(body), kind


def test_client_connect(tmp_path: Path) -> None:
    """The whole documented body."""
    queue = make()
    environment = {
        **CLIENT,
        "script_type": "client-connect",
        "config": "server.conf",
        "ifconfig_pool_remote_ip6": "fd00::2",
    }
    assert became(tmp_path, "--queue", "0x4f560001", **environment) == "sent"
    line = last(tmp_path / "record")
    assert line["queue"] == "0x4f560001"
    body, kind = receive(queue)
    assert kind == 1
    assert 0 < line["time"] - body.pop("time") < 60
    assert body.pop("script_seconds") == line["script_seconds"]
    assert body == {
        "event": "client-connect",
        "server": "server",
        "common_name": "alice-the-client",
        "address": "198.51.100.7",
        "port": 40123,
        "vpn_address": "10.8.0.77",
        "vpn_address6": "fd00::2",
        "result": "ok",
        "exit": 0,
    }


def test_client_disconnect(tmp_path: Path) -> None:
    """Tells the traffic; the script's failure goes with it."""
    queue = make()
    environment = {**PATH, "script_type": "client-disconnect", "bytes_received": "123456789012", "bytes_sent": "5"}
    environment["time_duration"] = "3600"
    run(tmp_path / "record", "--queue", str(KEY), "--", script(tmp_path, "exit 9"), environment=environment)
    body, kind = receive(queue)
    assert kind == 2
    assert (body["bytes_received"], body["bytes_sent"], body["connected_seconds"]) == (123456789012, 5, 3600)
    assert (body["result"], body["exit"]) == ("exit_status", 9)


@pytest.mark.parametrize("own", [[], ["its own argument"]])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["add", "10.8.0.6", "bob"], {"operation": "add", "vpn_address": "10.8.0.6", "common_name": "bob"}),
        (["update", "10.8.0.6", "delete"], {"operation": "update", "vpn_address": "10.8.0.6", "common_name": "delete"}),
        (["delete", "10.8.0.6"], {"operation": "delete", "vpn_address": "10.8.0.6"}),
    ],
)
def test_learn_address(tmp_path: Path, own: list[str], words: list[str], expected: dict[str, str]) -> None:
    """The arguments that OpenVPN adds tell the address; the script's own do not confuse."""
    queue = make()
    command = [script(tmp_path, "exit 0"), *own] if own else []
    environment = {**PATH, "script_type": "learn-address"}
    run(tmp_path / "record", "--queue", str(KEY), *(["--", *command] if own else []), *words, environment=environment)
    body, kind = receive(queue)
    assert kind == 3
    assert {key: body.get(key) for key in ("operation", "vpn_address", "common_name")} == {
        "common_name": None, **expected
    }  # fmt: skip


def test_secrets_stay_where_they_are(tmp_path: Path) -> None:
    queue = make()
    environment = {**SECRETS, **CLIENT, "script_type": "user-pass-verify"}
    assert became(tmp_path, "--queue", str(KEY), **environment) == "sent"
    body, kind = queue.receive(block=False)
    assert kind == 4
    assert b"alice-the-client" in body
    assert b"hunter2" not in body


def test_full_never_waits(tmp_path: Path) -> None:
    """The queue's limit holds for the next message; when it was emptied, updates go through again."""
    queue = make()
    sent = 0
    while became(tmp_path, "--queue", str(KEY)) == "sent":
        sent += 1
        queue.max_size = min(queue.max_size, 600)
    assert last(tmp_path / "record")["update"] == "full"
    assert queue.current_messages == sent > 0
    receive(queue)
    assert became(tmp_path, "--queue", str(KEY)) == "sent"


def test_no_queue(tmp_path: Path) -> None:
    """None of that key, or no file for ftok to make a key of."""
    assert became(tmp_path, "--queue", "77") == "no_queue"
    assert last(tmp_path / "record")["queue"] == "0x0000004d"
    assert became(tmp_path, "--queue", "ftok:/nonexistent:1") == "no_queue"
    assert last(tmp_path / "record")["queue"] == "ftok:/nonexistent:1"


def test_too_big_for_the_queue(tmp_path: Path) -> None:
    """A message that never fits is not called full, though the kernel says EAGAIN in both cases."""
    make().max_size = 20
    assert became(tmp_path, "--queue", str(KEY)) == "too_big"


def test_too_big_for_msgmax(tmp_path: Path) -> None:
    make()
    msgmax = Path("/proc/sys/kernel/msgmax")
    before = msgmax.read_text()
    msgmax.write_text("20")
    try:
        assert became(tmp_path, "--queue", str(KEY)) == "too_big"
    finally:
        msgmax.write_text(before)


def test_permission(public: Path) -> None:
    """Write permission is all that is needed; who has it not is denied."""
    hook = public_hook(public)
    folder = public / "log"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    queue = make(0o600)
    for mode, expected in ((0o600, "denied"), (0o604, "denied"), (0o602, "sent"), (0o606, "sent")):
        queue.mode = mode
        arguments = ["--queue", str(KEY), "--", script(public, "exit 0")]
        run(folder / "record", *arguments, hook=hook, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        assert last(folder / "record")["update"] == expected
    queue.max_size = 1
    run(folder / "record", *arguments, hook=hook, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
    assert last(folder / "record")["update"] == "too_big"
    queue.mode = 0o602
    run(folder / "record", *arguments, hook=hook, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
    assert last(folder / "record")["update"] == "full", "who may not read the queue's limit cannot tell the two apart"


def test_create(tmp_path: Path) -> None:
    """Makes the queue with the mode, and leaves one that is there as it is."""
    assert became(tmp_path, "--queue", "0xdeadbeef", "--create", "0622") == "sent"
    queue = sysv_ipc.MessageQueue(0xDEADBEEF - (1 << 32))
    assert queue.mode == 0o622
    assert became(tmp_path, "--queue", "0xdeadbeef", "--create", "0600") == "sent"
    assert (queue.current_messages, queue.mode) == (2, 0o622)


def test_create_where_there_are_too_many(tmp_path: Path) -> None:
    """At kernel.msgmni there is no queue to post to."""
    make()
    msgmni = Path("/proc/sys/kernel/msgmni")
    before = msgmni.read_text()
    msgmni.write_text("1")
    try:
        assert became(tmp_path, "--queue", "78", "--create", "0600") == "no_queue"
    finally:
        msgmni.write_text(before)


def test_ftok(tmp_path: Path) -> None:
    """The key that ftok(3) gives; of the id, as of the path, the daemon that receives has the same."""
    queue = make(key=sysv_ipc.ftok(str(tmp_path), 1, silence_warning=True) & 0xFFFFFFFF)
    assert became(tmp_path, "--queue", f"ftok:{tmp_path}:1") == "sent"
    assert last(tmp_path / "record")["queue"] == f"0x{queue.key & 0xFFFFFFFF:08x}"
    assert queue.current_messages == 1


def test_a_queue_that_is_removed_while_the_script_runs(tmp_path: Path) -> None:
    make()
    assert became(tmp_path, "--queue", str(KEY), body=f"ipcrm -Q {KEY}") == "no_queue"


def test_without_sysv_ipc(public: Path) -> None:
    """A broken installation drops the update, says why, and refuses nobody."""
    hook = public_hook(public)
    for library in (public / "lib").glob("sysv_ipc*"):
        library.unlink()
    program = hook.read_text().splitlines()
    program[0] += " -S"  # nor one that is installed elsewhere
    hook.write_text("\n".join(program))
    done = run(public / "record", "--queue", "1", "--", script(public, "exit 3"), hook=hook)
    assert done.returncode == 3
    assert "cannot post the status update: No module named 'sysv_ipc'" in done.stderr
    assert (last(public / "record")["queue"], last(public / "record")["update"]) == ("0x00000001", "other")
    assert subprocess.run(["ipcs", "-q"], capture_output=True, text=True, check=True).stdout.count("0x") == 0
