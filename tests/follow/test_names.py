"""Which names are those of rotated files, and in what order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.follow.names import rotated_names


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("server.log", "server.log.1"),
        ("server.log", "server.log.0"),
        ("server.log", "server.log.12345"),
        ("server.log", "server.log-20261123"),
        ("server.log", "server.log.2026-11-23"),
        ("server.log", "server.log_2026-11-23T10:59:59Z"),
        ("server.log", "server.log-2026112310"),
        ("server.log", "server.log-1795600000"),
        ("server.log", "server.log.old"),
        ("server.log", "server-20261123.log"),
        ("server.log", "server-1795600000.log"),
        ("openvpn", "openvpn.1"),
        ("openvpn", "openvpn-20261123"),
        ("a.b.log", "a.b.log.1"),
        ("a+b.log", "a+b.log.1"),
    ],
)
def test_names_of_rotated_files(log: str, name: str) -> None:
    assert list(rotated_names(log, [log, name])) == [name]


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("server.log", "server.log"),
        ("server.log", "server-443.log"),
        ("server.log", "server-2.log"),
        ("server.log", "server.2.log"),
        ("server.log", "server_1194.log"),
        ("server.log", "server.log.1.gz"),
        ("server.log", "server.log.123456"),
        ("server.log", "server.log-443"),
        ("server.log", "server.log-20261323"),
        ("server.log", "server.log-20261100"),
        ("server.log", "server-20261123.log.1"),
        ("server.log", "server-443.log.1"),
        ("server.log", "server.logs"),
        ("server.log", "server.log."),
        ("server.log", "serverXlog.1"),
        ("openvpn", "openvpn-2"),
        ("openvpn", "openvpn.2.1"),
    ],
)
def test_names_of_other_files(log: str, name: str) -> None:
    assert rotated_names(log, [log, name]) == {}


def test_a_number_before_the_extension_needs_a_first_one() -> None:
    """With `extension .log` there are server.1.log and server.2.log; a server.2.log alone is another server's."""
    assert rotated_names("server.log", ["server.2.log", "server.3.log"]) == {}
    assert set(rotated_names("server.log", ["server.1.log", "server.2.log"])) == {"server.1.log", "server.2.log"}
    assert set(rotated_names("server.log", ["server.1.log.gz", "server.2.log"])) == {"server.2.log"}


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["server.log.10", "server.log.9", "server.log.1", "server.log.0"],
        ["server.log-20251231", "server.log-20260101", "server.log-2026010110", "server.log-20261123"],
        ["server.log-20260101", "server.log.2026-01-02", "server.log_2026.01.03-10:00"],
        ["server-20251231.log", "server-20260101.log"],
        ["server.log-1795600000", "server.log-1795600001"],
        ["server.2.log", "server.1.log"],
    ],
)
def test_their_order(oldest_first: list[str]) -> None:
    found = rotated_names("server.log", oldest_first)
    assert sorted(found, key=lambda name: found[name].order) == oldest_first
    assert len({rotated.scheme for rotated in found.values()}) == 1


def test_an_unpacked_file_is_known_by_the_packed_one_beside_it() -> None:
    found = rotated_names("server.log", ["server.log.1", "server.log.2", "server.log.2.gz", "server.log.3.xz"])
    assert {name: rotated.packed for name, rotated in found.items()} == {"server.log.1": False, "server.log.2": True}


@given(st.text(st.sampled_from("-._0123456789TZold:"), max_size=60))
def test_any_name_is_judged_at_once(name: str) -> None:
    """No name that somebody may choose takes long, whatever it is."""
    rotated_names("server.log", [f"server.log{name}", f"server{name}.log", "server.log-20261123" + "1" * 200 + "x"])
