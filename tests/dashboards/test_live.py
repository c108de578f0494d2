"""Every panel's queries on a real Prometheus that scrapes an exporter with everything on."""

import re
from collections.abc import Iterator

import pytest
import requests

from bench.fleet_hosts import PAGE
from dashboards.queries import OFF
from exporter.collectors import discovery
from exporter.exposition.families import Metric
from tests.support.boards import BOARDS, PANELS, Document, shown_name, substituted
from tests.support.busy import busy_site
from tests.support.program import Program, samples
from tests.support.releases import Release
from tests.support.site import Site, everything, last

pytestmark = pytest.mark.xdist_group("live")  # they share a site


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[tuple[Site, Program]]:
    with busy_site(tmp_path_factory.mktemp("busy"), release) as found:
        yield found


@pytest.fixture
def busy(running_site: tuple[Site, Program]) -> Site:
    """The Prometheus of a host with everything on."""
    return running_site[0]


NOT_HERE = {"Firing alerts", "Deferred verdicts (top 8)", "Limits and certificates"}
"""What this host has none of; its servers are configured, so that discovery is off."""

UNLOGGED = re.compile('phase="tls"')
"""With UDP, OpenVPN 2.6 logs nothing before the certificate is checked, so that this phase has no beginning."""


@pytest.mark.timeout(300)
def test_nothing_is_empty_with_everything_on(busy: Site) -> None:
    """Each query of each panel has an answer, with all chosen; its legend's labels are there.

    A table's answers have its keys as labels and no others: a metric's name would keep rows from merging.
    """
    for name, panel in PANELS:
        if panel["title"] in NOT_HERE:
            continue
        for target in panel["targets"]:
            if UNLOGGED.search(target["expr"]):
                continue
            found = busy.answers(panel, target, everything())
            assert found, f"{name} {target['refId']} is empty: {target['expr']}"
            wanted = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", ""))) - {"cluster"}
            full = [series for series in found if wanted <= set(series["metric"])]
            rest = [series for series in found if series not in full]
            assert full or "none" in rest[0]["metric"].values(), f"{name} {target['refId']}: {wanted}, {found[:3]}"
            assert all("none" in series["metric"].values() for series in rest), f"{name} {target['refId']}: {rest}"
            if panel["type"] == "table":
                columns = panel["transformations"][1]["options"]["renameByName"]
                keys = {label for label in columns if not label.startswith("Value")}
                assert all(set(series["metric"]) <= keys for series in found), f"{name}: {keys}, {found[:3]}"


@pytest.mark.timeout(300)
def test_tiles_know_their_number_with_everything_on(busy: Site) -> None:
    """None is off or unknown."""
    for name, panel in PANELS:
        if panel["type"] == "stat":
            (series,) = busy.answers(panel, panel["targets"][0], everything())
            assert last(series) >= 0, name


@pytest.mark.timeout(300)
def test_series_have_names_of_their_own(busy: Site) -> None:
    """Two lines of one graph never bear the same legend."""
    for name, panel in PANELS:
        legends = [
            shown_name(panel, target, series["metric"])
            for target in panel["targets"]
            if panel["type"] != "table"
            for series in busy.answers(panel, target, everything())
        ]
        assert len(set(legends)) == len(legends), f"{name}: {legends}"


@pytest.mark.timeout(300)
def test_what_does_not_happen_is_called_none(busy: Site) -> None:
    """And nothing else is: the rule that colours it grey goes by the name."""
    seen = 0
    for name, panel in PANELS:
        if panel["type"] != "timeseries":
            continue
        pattern = panel["fieldConfig"]["overrides"][-1]["matcher"]["options"].strip("/")
        for target in panel["targets"]:
            found = busy.answers(panel, target, everything())
            for series in found:
                nothing = "none" in series["metric"].values()
                shown = shown_name(panel, target, series["metric"])
                assert bool(re.search(pattern, shown)) is nothing, f"{name}: {shown}"
                assert not nothing or len(found) == 1, f"{name}: {found}"
                seen += nothing
    assert seen


@pytest.mark.timeout(300)
def test_one_host_queue_and_server_can_be_chosen(busy: Site) -> None:
    """What the variables offer is there; choosing it leaves no panel empty, choosing another host leaves all empty."""
    for document in BOARDS.values():
        for variable in document["templating"]["list"][1:]:
            label = re.search(r"(\w+)\)$", variable["definition"])
            assert label
            selector = re.search(r"\((.+), *\w+\)$", variable["definition"])
            match = {"match[]": substituted(selector[1], everything(), window="8s", whole="1m")} if selector else {}
            url = f"{busy.server.url}/api/v1/label/{label[1]}/values"
            values = requests.get(url, params=match, timeout=30).json()["data"]
            assert busy.choices[label[1]] in values or not busy.choices[label[1]], variable["name"]
    chosen = {name: re.escape(value).replace("\\", "\\\\") for name, value in busy.choices.items()}  # as Grafana does
    for name, panel in PANELS:
        if panel["title"] in NOT_HERE:
            continue
        for target in panel["targets"]:
            if UNLOGGED.search(target["expr"]):
                continue
            assert busy.answers(panel, target, chosen), f"{name} {target['refId']}"
            elsewhere = busy.answers(panel, target, {**chosen, "instance": "elsewhere"})
            assert not elsewhere or (panel["type"] == "stat" and last(elsewhere[0]) == OFF), name


@pytest.mark.timeout(300)
def test_numbers_are_those_of_the_site(busy: Site) -> None:
    """Some of them, by the titles of their panels, against what the site did."""

    def asked(title: str) -> tuple[Document, Document]:
        (panel,) = (panel for name, panel in PANELS if name == title)
        return panel, panel["targets"][0]

    def value(title: str) -> float:
        (series,) = busy.answers(*asked(title), everything())
        return last(series)

    assert value("queues: Fullest queue") == 1
    assert value("queues: Full queues") == 1
    assert value("queues: Blocked senders") == 1
    assert value("queues: Waiting receivers") >= 1
    assert value("fleet: Blocked senders") == 1
    assert value("fleet: Fullest queue") == 1
    assert value("fleet: Hosts down") == 0
    assert value("fleet: Hanging scripts") == 0
    assert round(value("fleet: Script failures")) >= 1
    assert round(value("openvpn: Script failures")) >= 1
    assert 0.3 < value("openvpn: Failure ratio") < 0.7, "of the two runs after the first, one; as far as rates tell"
    assert 0 <= value("openvpn: Blocked by scripts") < 0.5
    assert value("openvpn: Management down") == 0
    (shares,) = busy.answers(*asked("openvpn: Blocked by scripts"), everything())
    assert max(float(share) for _, share in shares["values"]) > 0


@pytest.mark.timeout(300)
def test_annotations_are_valid(busy: Site) -> None:
    """And mark the restart of the exporter and the creation of the queues."""
    marked = set()
    for document in BOARDS.values():
        for annotation in document["annotations"]["list"]:
            if busy.server.query(substituted(annotation["expr"], everything(), window="8s", whole="1m")):
                marked.add(annotation["name"])
    assert {"Exporter restarts", "Queues created or changed"} <= marked


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_simulated_fleet_serves_what_the_exporter_serves(running_site: tuple[Site, Program]) -> None:
    """Every metric of this host is on the recorded page, and discovery's; bench/fleet_page.py records it anew."""
    discovered = {metric.name for metric in vars(discovery).values() if isinstance(metric, Metric)}
    recorded = {name for name, _ in samples(PAGE.read_text())}
    assert discovered < recorded
    assert {name for name, _ in samples(running_site[1].page())} == recorded - discovered
