"""What is said of what was seen, where no real thing can be made to show it in a test's time."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.check.judge import Thresholds, judge, percent
from exporter.check.machine import render_json
from exporter.check.report import Finding, Level, OpenVpn, Report, Seen
from exporter.discovery.access import KINDS, Access, Source
from exporter.discovery.expiry import Expiry
from exporter.discovery.options import CertificateKind
from exporter.sysv.sysctl import Limits
from tests.discovery.hosts import Host

NOW = 1_700_000_000.0
DAY = 86400


def seen(**changes: Any) -> Seen:
    """A host on which all is well."""
    limits = Limits(16384, 8192, 32000)
    well = Seen(NOW, (), 0, (), 0, None, None, limits, None, "none", OpenVpn())
    return well._replace(**changes)


def findings(**changes: Any) -> list[tuple[Level, str]]:
    """What is wrong."""
    return [(finding.level, finding.text) for finding in judge(seen(**changes), Thresholds())]


def test_all_is_well() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (15 * DAY, None),
        (13.5 * DAY, (Level.WARNING, "expires in 13 days")),
        (1.5 * DAY, (Level.WARNING, "expires in 1 day")),
        (0, (Level.CRITICAL, "has expired: clients are refused")),
        (float("inf"), None),
    ],
)
def test_certificates_that_end(left: float, expected: tuple[Level, str] | None) -> None:
    found = findings(openvpn=OpenVpn(expiries=(Expiry("vpn", "cert", NOW + left),)))
    text = "The certificate of OpenVPN vpn {}. Renew it and restart OpenVPN."
    assert found == ([(expected[0], text.format(expected[1]))] if expected else [])


@pytest.mark.parametrize(
    ("kind", "name", "remedy"),
    [
        ("ca", "CA certificate", "Renew it, give it to all clients, and restart OpenVPN."),
        ("cert", "certificate", "Renew it and restart OpenVPN."),
        ("crl", "revocation list", "Put a new one in its place; OpenVPN reads a file again by itself."),
    ],
)
def test_what_is_done_about_each(kind: CertificateKind, name: str, remedy: str) -> None:
    """A restart would throw out all clients, so it is advised where nothing else helps."""
    assert findings(openvpn=OpenVpn(expiries=(Expiry("vpn", kind, NOW),))) == [
        (Level.CRITICAL, f"The {name} of OpenVPN vpn has expired: clients are refused. {remedy}")
    ]


def test_a_client_whose_certificate_has_ended(tmp_path: Path) -> None:
    """It serves nobody who could be refused."""
    host = Host(tmp_path)
    host.process(500, ["openvpn", "--client", "--dev", "tun0"], cwd="/")
    openvpn = OpenVpn(instances=(host.only(),), accesses={"tun0": ()}, expiries=(Expiry("tun0", "cert", NOW),))
    ((_, text),) = findings(openvpn=openvpn)
    assert text.startswith("The certificate of OpenVPN tun0 has expired: it cannot connect.")


def test_a_client_whose_configuration_is_closed(tmp_path: Path) -> None:
    """The exporter cannot know that it is a client, and complains; it has no use for the client's other files."""
    host = Host(tmp_path)
    host.file("/etc/openvpn/c.conf", "client\n")
    host.process(500, ["openvpn", "--config", "/etc/openvpn/c.conf"], cwd="/")
    config, log = (Source(kind, f"/x/{kind}", None) for kind in KINDS[:2])

    def told(*sources: Source) -> list[tuple[Level, str]]:
        accesses = tuple(Access(source, "denied", "Permission denied") for source in sources)
        return findings(openvpn=OpenVpn("u", instances=(host.only(),), accesses={"c": accesses}))

    assert told(log) == []
    text = "User u cannot read everything of OpenVPN c: config /x/config (Permission denied)."
    assert told(log, config) == [(Level.WARNING, text)]


def test_what_cannot_be_read_is_unknown_and_not_well() -> None:
    assert findings(unreadable="Permission denied") == [
        (Level.UNKNOWN, "The queues cannot be read: Permission denied.")
    ]
    assert [level for level, _ in findings(limits=None)] == [Level.UNKNOWN]


def test_queues_that_are_not_shown_are_told_of() -> None:
    assert findings(also_full=1) == [(Level.WARNING, "1 more queue is full or nearly so; --all shows them.")]


@given(st.lists(st.sampled_from(list(Level)), max_size=5))
def test_the_worst_decides(levels: list[Level]) -> None:
    """Critical before unknown before a warning."""
    report = Report(seen(), tuple(Finding(level, "x") for level in levels))
    expected = next((level for level in (Level.CRITICAL, Level.UNKNOWN, Level.WARNING) if level in levels), Level.OK)
    assert report.level is expected


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_only_what_is_full_is_at_a_hundred_percent(used: int, limit: int) -> None:
    assert (int(percent(used / limit).removesuffix(" %")) >= 100) == (used >= limit)


def test_a_list_that_never_ends_is_null_in_json(tmp_path: Path) -> None:
    """JSON has no infinity; some readers refuse the whole document."""
    host = Host(tmp_path)
    host.process(500, ["openvpn", "--dev", "tun0"], cwd="/")
    expiries = (Expiry("tun0", "crl", float("inf")), Expiry("tun0", "cert", NOW))
    openvpn = OpenVpn(instances=(host.only(),), accesses={"tun0": ()}, expiries=expiries)
    text = render_json(Report(seen(openvpn=openvpn), ()))
    document = json.loads(text, parse_constant=pytest.fail)
    assert document["openvpn"]["instances"][0]["expiries"] == {"crl": None, "cert": NOW}
