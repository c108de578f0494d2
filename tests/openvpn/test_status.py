"""Status files of every version, whole and torn."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.openvpn.status import Completeness, Status, read_status, read_time
from tests.support.statusfiles import MOMENT, files, local, version_1, version_23


def test_a_client_whose_name_is_undef_counts_where_its_address_is_shown() -> None:
    """Only a connection without a name has no address in the VPN; version 1 shows none."""
    for data in files(["alice", "dave"])[2:]:
        assert read_status(data.replace(b"dave", b"UNDEF"), MOMENT).clients == 2
    assert read_status(version_1(["alice", "UNDEF"]), MOMENT).clients == 1


@pytest.mark.parametrize("number", range(8))
def test_every_version_tells_its_time_and_its_clients(number: int) -> None:
    data = files(["alice", "UNDEF", "alice", "bob"])[number]
    assert read_status(data, MOMENT) == Status(Completeness.COMPLETE, MOMENT, 3)


@pytest.mark.parametrize("number", range(8))
def test_nobody_connected_is_zero_clients(number: int) -> None:
    assert read_status(files([])[number], MOMENT) == Status(Completeness.COMPLETE, MOMENT, 0)


NAMES = st.lists(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1, max_size=20),
    max_size=6,
)


@given(NAMES, st.integers(0, 7))
def test_names_with_anything_that_openvpn_lets_through(names: list[str], number: int) -> None:
    """Commas, quotes, END: nothing that a client may be called changes the count."""
    wanted = sum(name != "UNDEF" and not (number < 2 and name.startswith("UNDEF,")) for name in names)
    assert read_status(files(names)[number], MOMENT) == Status(Completeness.COMPLETE, MOMENT, wanted)


@given(NAMES, st.integers(0, 7), st.data())
def test_a_file_cut_short_is_torn_and_gives_no_wrong_numbers(
    names: list[str], number: int, data: st.DataObject
) -> None:
    whole = files(names)[number]
    status = read_status(whole[: data.draw(st.integers(1, len(whole) - 5))], MOMENT)
    assert status.completeness is Completeness.TORN
    assert status.clients is None
    assert status.time in (None, MOMENT)


@pytest.mark.parametrize("number", range(8))
def test_a_row_cut_short_in_the_middle_is_torn(number: int) -> None:
    """As where the disk was full for a moment."""
    lines = files(["alice", "bob", "carol"])[number].splitlines(keepends=True)
    lines[4] = lines[4][:17] + b"\n"
    status = read_status(b"".join(lines), MOMENT)
    assert (status.completeness, status.clients) == (Completeness.TORN, None)


@given(NAMES, NAMES, st.integers(0, 7))
def test_what_is_left_of_an_older_longer_file_does_not_count(names: list[str], older: list[str], number: int) -> None:
    new = files(names)[number]
    mixed = new + files(older)[number][len(new) :]
    assert read_status(mixed, MOMENT) == read_status(new, MOMENT)


@given(
    st.binary(max_size=300) | st.lists(st.sampled_from(b"".join(files(["a"])).splitlines(keepends=True))).map(b"".join)
)
def test_any_bytes_are_judged(data: bytes) -> None:
    status = read_status(data, MOMENT)
    assert (status.completeness is Completeness.EMPTY) == (data == b"")
    assert status.clients is None or status.completeness is Completeness.COMPLETE


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"\n",
        b"\x7fELF\x02\x01",
        b"TITLE,OpenVPN 2.6\nTIME,now,soon\nEND\n",
        b"TITLE,OpenVPN 2.6\nTIME,now,99999999999999999999\nEND\n",
        b"TITLE,OpenVPN 2.6\nTIME\tnow\t1795466409\nEND\n",
        b"OpenVPN CLIENT LIST\nUpdated,whenever\nEND\n",
        b"OpenVPN CLIENT LIST\nUpdated,9999-99-99 99:99:99\nEND\n",
    ],
)
def test_what_is_no_status_file_is_foreign(data: bytes) -> None:
    assert read_status(data, MOMENT) == Status(Completeness.FOREIGN)


def test_a_status_file_of_an_openvpn_that_serves_nobody_has_a_time_and_no_clients() -> None:
    data = f"OpenVPN STATISTICS\nUpdated,{local('%Y-%m-%d %H:%M:%S')}\nTUN/TAP read bytes,0\nEND\n".encode()
    assert read_status(data, MOMENT) == Status(Completeness.COMPLETE, MOMENT, None)


def test_the_time_is_known_from_the_head_alone() -> None:
    assert read_time(version_23(["alice"] * 500, ",")[:4096], MOMENT) == MOMENT
    assert read_time(version_1(["alice"] * 500)[:4096], MOMENT) == MOMENT
    assert read_time(b"", MOMENT) is None


@pytest.mark.parametrize("after_the_change", [False, True])
def test_an_hour_that_a_clock_shows_twice_is_settled_by_now(
    monkeypatch: pytest.MonkeyPatch, *, after_the_change: bool
) -> None:
    """Version 1 has local time without a zone; when summer time ends, 02:30 comes twice."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        moment = datetime(2026, 10, 25, 1 if after_the_change else 0, 30, tzinfo=UTC).timestamp()
        assert read_status(version_1([], "2026-10-25 02:30:00"), moment + 20).time == moment
    finally:
        monkeypatch.undo()
        time.tzset()
