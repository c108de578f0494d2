"""The simulated fleet of bench/fleet.py behaves like hosts that run the exporter."""

import pytest

from bench.fleet_hosts import PAGE, TROUBLES, Moment, Page, trouble
from tests.support.program import samples

QUEUES, SERVERS = 5, 2


def values(host: int, seconds: float) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    page = Page(PAGE.read_text(), trouble(host), QUEUES, SERVERS)
    return samples(page.render(Moment(host, 1.8e9 + seconds, seconds)).decode())


def test_a_page_has_every_metric_of_the_recorded_one() -> None:
    """Each queue and server of the simulated host once."""
    found = values(1, 0)
    assert {name for name, _ in found} == {name for name, _ in samples(PAGE.read_text())}
    assert len({dict(labels)["queue"] for name, labels in found if name == "sysv_msg_queue_bytes"}) == QUEUES
    assert len({dict(labels)["server"] for name, labels in found if name == "openvpn_management_up"}) == SERVERS


def test_counters_rise_and_never_fall() -> None:
    """Those of failures stay at 0 on a host that is well."""
    first, later = values(1, 100), values(1, 400)
    risen = set()
    for series, value in later.items():
        if series[0].endswith(("_total", "_bucket", "_sum", "_count")):
            assert value >= first[series]
            if value > first[series]:
                risen.add(series[0])
    assert {"openvpn_hook_runs_total", "sysv_msg_queue_sent_messages_total"} <= risen
    assert not any("fail" in name for name in risen)


def test_histograms_are_consistent() -> None:
    """A bucket holds what the smaller ones hold, and the last as many as there are."""
    found = values(1, 1000)
    counted = 0
    for (name, labels), value in found.items():
        if name.endswith("_count"):
            others = dict(labels)
            buckets = [
                (float(dict(more)["le"]), number)
                for (other, more), number in found.items()
                if other == name.removesuffix("_count") + "_bucket"
                and {key: text for key, text in more if key != "le"} == others
            ]
            numbers = [number for _, number in sorted(buckets)]
            assert numbers == sorted(numbers)
            assert numbers[-1] == value
            counted += 1
    assert counted > 3


@pytest.mark.parametrize(
    ("kind", "metric", "holds"),
    [
        ("full", "sysv_msg_queue_bytes", lambda value: value > 0.95 * 16384),
        ("failing", "openvpn_hook_failures_total", lambda value: value > 10),
        ("hanging", "openvpn_hook_running", lambda value: value == 1),
    ],
)
def test_trouble_shows(kind: str, metric: str, holds: object) -> None:
    """On that host, and on no host that is well."""
    assert callable(holds)
    (host,) = (number for number, found in TROUBLES.items() if found == kind)
    assert [holds(value) for (name, _), value in values(host, 600).items() if name == metric].count(True) == 1
    assert not any(holds(value) for (name, _), value in values(1, 600).items() if name == metric)
