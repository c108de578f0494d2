"""The pure parts: JSON, the command line, OpenVPN's environment; and what starting costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.hook import event
from exporter.hook.jsonline import encode
from exporter.hook.options import UsageError, parse_options
from tests.support.hooks import HOOK

_VALUES = st.one_of(st.text(max_size=256), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none())


@given(st.dictionaries(st.sampled_from(["time", "server", "pid"]), _VALUES))
def test_json_says_what_it_was_given(fields: dict[str, str | int | float | None]) -> None:
    """On one line of ASCII, without what is None."""
    line = encode(fields)
    assert b"\n" not in line
    assert line.isascii()
    rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in fields.items()}
    assert json.loads(line) == {key: value for key, value in rounded.items() if value is not None}


def test_json_of_odd_text() -> None:
    """Bytes that are no UTF-8 are replaced, and what is too long is cut."""
    assert json.loads(encode({"a": b"x\xff\xc3\xbc".decode("utf-8", "surrogateescape")})) == {"a": "x\ufffdü"}
    assert json.loads(encode({"a": "y" * 300})) == {"a": "y" * 256}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0x4f560001", 0x4F560001),
        ("1331036161", 0x4F560001),
        ("0xFFFFFFFF", 0xFFFFFFFF),
        ("-1", 0xFFFFFFFF),
        ("ftok:/etc/openvpn/a:b.conf:255", ("/etc/openvpn/a:b.conf", 255)),
    ],
)
def test_keys(text: str, key: object) -> None:
    assert parse_options(["--queue", text]).queue == key
    assert parse_options([f"--queue={text}"]).queue == key


@pytest.mark.parametrize(
    "arguments",
    [
        "--queue 0x100000000", "--queue x", "--queue ftok:relative:1", "--queue ftok:/x:0", "--queue ftok:/x:256",
        "--queue ftok:/x", "--timeout 5", "--timeout 0s", "--timeout -1s", "--timeout 1d", "--create 0600",
        "--queue 1 --create 600x", "--queue 1 --create 01777", "--queue 1 --create 6", "--record hooks.jsonl",
        "--record-client=yes", "--server= ", "--record", "--queue",
    ],
)  # fmt: skip
def test_wrong_command_lines(arguments: str) -> None:
    with pytest.raises(UsageError):
        parse_options([*arguments.split(" "), "--", "/bin/true"])


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_options(["--timeout", text]).timeout == pytest.approx(seconds)


def test_all_options_and_a_script_with_options_of_its_own() -> None:
    options = parse_options(
        ["--server", "udp", "--record=/r", "--record-client", "--queue", "1", "--create", "620", "--", "/s", "--", "-x"]
    )
    assert (options.server, options.record, options.record_client, options.create) == ("udp", "/r", True, 0o620)
    assert options.script == ["/s", "--", "-x"]


@pytest.mark.parametrize(
    ("config", "server"),
    [
        ("/etc/openvpn/server/udp.conf", "udp"), ("server.conf", "server"), ("a.ovpn", "a"), ("plain", "plain"),
        ("", "openvpn"), ("/etc/openvpn/.conf", "openvpn"),
    ],
)  # fmt: skip
def test_the_servers_name(config: str, server: str) -> None:
    assert event.server_of({"config": config}) == server


def test_unknown_hooks_have_one_name() -> None:
    """So that nobody who sets script_type makes more and more series."""
    assert event.hook_of({"script_type": "surprise"}) == event.hook_of({}) == ("other", 99)


def test_addresses_before_and_after_the_client_is_trusted() -> None:
    before = {"untrusted_ip6": "2001:db8::1", "untrusted_port": "1", "common_name": "c"}
    assert event.client_of(before, [])["address"] == "2001:db8::1"
    after = {**before, "trusted_ip": "192.0.2.1", "trusted_port": "2"}
    assert event.client_of(after, [])["address"] == "192.0.2.1"
    assert event.client_of(after, [])["port"] == 2


@pytest.mark.parametrize("text", [None, "", "-1", "1e3", "\u0663", "9" * 30])
def test_what_is_no_number_is_left_out(text: str | None) -> None:
    assert event.number(text) is None


def test_as_installed_it_imports_nothing_that_costs(tmp_path: Path) -> None:
    """Beyond what the interpreter and site load anyhow, only these; re, enum or typing would cost milliseconds each."""
    bare = imported("-c", "pass")
    queue = ["--queue", "ftok:/nonexistent:1", "--timeout", "1m", "--", "/bin/true"]
    hook = imported(str(HOOK), "--record", str(tmp_path / "record"), *queue)
    own = {"event", "jsonline", "options", "program", "record", "script", "update"}
    needed = {"exporter", "exporter.hook", "errno", "sysv_ipc"} | {f"exporter.hook.{name}" for name in own}
    assert hook - bare == needed - bare  # newer Pythons load errno by themselves


def imported(*arguments: str) -> set[str]:
    """What Python imports until it ends."""
    command = [sys.executable, "-X", "importtime", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
