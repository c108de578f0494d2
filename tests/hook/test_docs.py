"""docs/hook.md says what the hook does: its options, message types, fields and words."""

import json
import re
from pathlib import Path

from exporter.hook import event
from exporter.hook.options import HELP
from exporter.openvpn.hookrecord import HOOK_NAMES, RUN_FAILURES, UPDATE_DROPS, End, Start, parse_record
from tests.support.clientenv import CLIENT
from tests.support.hooks import PATH, lines, run, script
from tests.support.openvpn import wait_until

TEXT = (Path(__file__).parents[2] / "docs" / "hook.md").read_text()


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def fields(title: str) -> set[str]:
    """The names in the first column of the section's table of fields."""
    table = re.findall(r"^\| ([a-z][a-z0-9_, ]*) \|", section(title), re.MULTILINE)
    return {name for cell in table for name in cell.split(", ")} - {"field", "mtype"}


def test_message_types() -> None:
    """The table, the hook's own and the names that the collector knows are the same."""
    table = {
        (name, int(number)) for number, name in re.findall(r"\| ([0-9]+) \| ([a-z0-9-]+) ", section("Status updates"))
    }
    types = ["client-connect", "client-disconnect", "learn-address", "user-pass-verify", "tls-verify"]
    types += ["tls-crypt-v2-verify", "client-crresponse", "up", "down", "route-up", "route-pre-down", "ipchange"]
    assert table == {event.hook_of({"script_type": kind}) for kind in [*types, "dns-up", "dns-down", "?"]}
    assert {name for name, _ in table} == set(HOOK_NAMES)


def test_options() -> None:
    """Documented and in --help are the same."""
    table = set(re.findall(r"^\| `(--[a-z-]+)", section("What it does"), re.MULTILINE))
    assert table | {"--help", "--version"} == set(re.findall(r"^  (--[a-z-]+)", HELP, re.MULTILINE)) | {"--version"}


def test_words() -> None:
    record = section("The record")
    for word in (*RUN_FAILURES, *UPDATE_DROPS, "ok", "deferred", "unwatched", "sent"):
        assert f"`{word}`" in record


def test_the_record_has_the_fields(tmp_path: Path) -> None:
    """All that the table names, and no others; the examples are lines that the collector takes."""
    environment = {**PATH, **CLIENT, "script_type": "learn-address", "ifconfig_pool_remote_ip6": "fd00::2"}
    record = tmp_path / "record"
    options = ["--record-client", "--queue", "1", "--"]
    run(record, *options, script(tmp_path, "exit 1"), "add", "10.8.0.6", "bob", environment=environment)
    run(record, *options, script(tmp_path, "kill -9 $$"), environment=environment)
    control = tmp_path / "control"
    control.write_text("1")
    deferred = {**PATH, "script_type": "user-pass-verify", "auth_control_file": str(control)}
    run(record, "--", script(tmp_path, "exit 2"), environment=deferred)
    wait_until(lambda: lines(record)[-1]["event"] == "verdict", "the verdict is recorded", 10)
    written = {key for line in lines(record) for key in line} - {"time", "event"}
    assert written == fields("The record")
    examples = re.findall(r"^\{.*\}$", section("The record"), re.MULTILINE)
    assert [type(line) for line in parse_record("\n".join(examples).encode())] == [Start, End]


def test_the_example_of_a_message_has_documented_fields() -> None:
    """What messages hold is tried, field by field, where they are received."""
    (example,) = re.findall(r"^\{.*\}$", section("Status updates"), re.MULTILINE)
    assert json.loads(example).keys() <= fields("Status updates")
