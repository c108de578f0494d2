"""The hook's lines as they are read, and the account of runs that have not ended."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.hook.jsonline import encode
from exporter.openvpn.hookrecord import End, OpenRuns, Run, RunFailure, Start, UpdateDrop, Verdict, parse_record

RUN = Run("udp", "client-connect", 7, 100, 4026531836)
START: dict[str, Any] = {
    "time": 1.5, "event": "start", "server": "udp", "hook": "client-connect", "pid": 7, "pid_start_ticks": 100,
    "pid_namespace": 4026531836,
}  # fmt: skip
END: dict[str, Any] = {**START, "event": "end", "result": "ok", "exit": 0, "script_seconds": 0.25}


def one(fields: dict[str, Any]) -> Start | End | Verdict | None:
    (line,) = parse_record(json.dumps(fields).encode() + b"\n")
    return line


def test_a_start_and_an_end() -> None:
    assert one(START) == Start(RUN)
    assert one(END) == End(RUN, None, 0.25, None, None)


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ("ok", None), ("deferred", None), ("unwatched", None), ("exit_status", "exit_status"),
        ("not_executable", "not_executable"), ("signal", "signal"), ("timeout", "timeout"),
    ],
)  # fmt: skip
def test_results(result: str, failure: RunFailure | None) -> None:
    """A deferred answer is no failure; of a script that nobody watched it is not known."""
    assert one({**END, "result": result}) == End(RUN, failure, 0.25, None, None)


@pytest.mark.parametrize(
    ("update", "drop"), [("sent", None), ("full", "full"), ("denied", "denied"), ("novel", "other"), (None, "other")]
)
def test_updates(update: str | None, drop: UpdateDrop | None) -> None:
    assert one({**END, "queue": "0x4f560001", "update": update}) == End(RUN, None, 0.25, "0x4f560001", drop)


def test_without_a_script_no_duration() -> None:
    fields = {key: value for key, value in END.items() if key != "script_seconds"}
    assert one(fields) == End(RUN, None, None, None, None)


def test_without_proc_no_process() -> None:
    fields = {key: value for key, value in START.items() if not key.startswith("pid_")}
    assert one(fields) == Start(RUN._replace(start_ticks=None, namespace=None))


def test_an_unknown_hook_is_other() -> None:
    """So that the labels stay few whatever the record holds."""
    assert one({**START, "hook": "surprise"}) == Start(RUN._replace(hook="other"))


@pytest.mark.parametrize(
    "change",
    [
        {"server": 5}, {"server": None}, {"pid": "7"}, {"pid": 7.5}, {"pid": True}, {"hook": []}, {"event": "middle"},
        {"result": "surprise"}, {"result": []}, {"script_seconds": "1"}, {"script_seconds": -1},
        {"script_seconds": float("nan")}, {"script_seconds": float("inf")}, {"queue": 5}, {"queue": "name"},
        {"queue": "0x4F560001"}, {"pid_namespace": "x"}, {"server": "\udcfc"}, {"queue": "ftok:/\udcfc:1"},
        {"script_seconds": 10**400}, {"pid": 10**4000}, {"pid": -1}, {"pid_start_ticks": 1 << 64}, {"server": "x" * 257}
    ],
)  # fmt: skip
def test_what_the_hook_does_not_write_is_none(change: dict[str, Any]) -> None:
    assert one({**END, **change}) is None


@given(st.binary())
def test_anything_can_be_read(data: bytes) -> None:
    """Whatever a file holds, reading it fails for none."""
    for line in parse_record(data):
        assert line is None or isinstance(line, Start | End)


@given(st.text(max_size=200), st.data())
def test_a_torn_line_costs_no_other(server: str, data: st.DataObject) -> None:
    """Behind what a full disk has cut off, anywhere, the next hook's line is read; what a text holds fools nobody."""
    torn = encode({**START, "server": '{"time":' + server})
    cut = torn[: data.draw(st.integers(1, len(torn) - 1))]
    lines = list(parse_record(cut + json.dumps(END).encode() + b"\n" + torn + b"\n"))
    assert [type(line) for line in lines] == [End, Start]
    assert lines[0] == End(RUN, None, 0.25, None, None)


def test_open_runs_survive_json() -> None:
    runs = OpenRuns()
    runs.start(RUN)
    runs.start(RUN._replace(pid=8))
    again = OpenRuns(json.loads(json.dumps(runs.runs())))
    assert again.runs() == [RUN, RUN._replace(pid=8)]
    assert again.end(RUN)
    assert not again.end(RUN), "it ended already"
    assert again.runs() == [RUN._replace(pid=8)]


@pytest.mark.parametrize("saved", [None, {}, "x", [1], [["too", "few"]], [[[], 1, 2, 3, 4]]])
def test_malformed_saved_runs_are_ignored(saved: object) -> None:
    assert OpenRuns(saved).runs() == []


def test_open_runs_are_bounded() -> None:
    runs = OpenRuns()
    for pid in range(1500):
        runs.start(RUN._replace(pid=pid))
    assert [run.pid for run in runs.runs()] == list(range(500, 1500))


@pytest.mark.parametrize("length", [10, 200, 245, 1000])
def test_the_queue_of_a_long_path(length: int) -> None:
    """The hook cuts texts at 256 characters; whatever is left of a path is a queue still."""
    queue = f"ftok:/{'x' * length}:255"
    line = encode({**END, "queue": queue, "update": "no_queue"})
    (end,) = parse_record(line + b"\n")
    assert end == End(RUN, None, 0.25, queue[:256], "no_queue")


def test_a_verdict() -> None:
    """Of a script that had deferred its answer; with another word or time it is no line of the hook's."""
    line = {**START, "event": "verdict", "verdict": "ok", "verdict_seconds": 3.5}
    assert one(line) == Verdict(RUN, "ok", 3.5)
    assert one({**line, "verdict": "perhaps"}) is None
    assert one({**line, "verdict_seconds": -1}) is None
    assert one({**line, "verdict_seconds": None}) is None
    assert one({**line, "verdict_seconds": 10**400}) is None
