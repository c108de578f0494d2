"""What bpftrace prints, and what it does not."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.trace.lines import GarbledError, LineSplitter, Lost, Scalar, Table, parse_line


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"type": "map", "data": {"@session": 2182696848422}}', Scalar("session", 2182696848422)),
        (b'{"type": "map", "data": {"@sent": {"6": 5, "7": 18446744073709551615}}}', Table("sent", {6: 5, 7: 2**64-1})),
        (b'{"type": "map", "data": {"@sent": {}}}', Table("sent", {})),
        (b'{"type": "lost_events", "data": {"events": 12}}', Lost(12)),
        (b'{"type": "attached_probes", "data": {"probes": 12}}', None),
        (b'{"type": "helper_error", "msg": "x", "helper": "map_update_elem", "retcode": -7}', None),
        (b'{"type": "map", "data": {"@removed": {"1": [2, 1]}}}', None),  # a tuple, when bpftrace ends
        (b'{"type": "map", "data": {"@sending": {}}}', Table("sending", {})),
        (b"", None),
        (b"\r", None),
    ],
)  # fmt: skip  # a line a line
def test_parse(line: bytes, said: object) -> None:
    assert parse_line(line) == said


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "map", "data": {"@sent": {"6": 5',
        b'"6": 5}}}',
        b'{"type": "map", "data": {"@sent": {"6": -5}}}',
        b'{"type": "map", "data": {"@sent": {"six": 5}}}',
        b'{"type": "map", "data": {"@sent": true}}',
        b'{"type": "map", "data": {"@sent": 18446744073709551616}}',
        b'{"type": "lost_events", "data": {"events": "many"}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"42",
        b"null",
        b"Attaching 12 probes...",
    ],
)
def test_garbled(line: bytes) -> None:
    """Anything else is known as such."""
    with pytest.raises(GarbledError):
        parse_line(line)


@given(st.binary())
def test_no_bytes_do_harm(line: bytes) -> None:
    """Whatever comes, it is understood or it is garbled."""
    with contextlib.suppress(GarbledError):
        parse_line(line)


@given(st.dictionaries(st.integers(0, 2**31 - 1), st.integers(0, 2**64 - 1)), st.integers(1, 40))
def test_lines_from_pieces(values: dict[int, int], size: int) -> None:
    """A table comes through, however it is cut to pieces."""
    text = json.dumps({"type": "map", "data": {"@sent": {str(key): value for key, value in values.items()}}}).encode()
    stream = text + b"\n\n" + text + b"\n"
    splitter = LineSplitter()
    lines = [line for at in range(0, len(stream), size) for line in splitter.split(stream[at : at + size])]
    assert [parse_line(line) for line in lines] == [Table("sent", values), None, Table("sent", values)]


def test_a_line_without_end() -> None:
    """It takes no more memory than its bound, and does not spoil what comes after it."""
    splitter = LineSplitter(max_length=1000)
    lines = [line for _ in range(100) for line in splitter.split(b"x" * 100)]
    assert max(map(len, lines)) <= 1100
    assert splitter.split(b"\n{}\n")[-1] == b"{}"
