"""What linters ask of dashboards and panels, for every panel of the type that they mean, and what they forget."""

import itertools
import re
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from grafana_foundation_sdk.models import units

from dashboards.panels import BAD, GREY, WARNING
from tests.support.boards import BOARDS, PANELS, Document

KINDS = {"stat", "timeseries", "table", "bargauge"}
PER_MINUTE = "suffix:/min"
UNITS = {unit for kind in units.__annotations__.values() for unit in get_args(kind)} | {PER_MINUTE}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

each_board = pytest.mark.parametrize("document", BOARDS.values(), ids=BOARDS)
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=[name for name, _ in PANELS])


def each(*kinds: str) -> pytest.MarkDecorator:
    """Return a mark: every panel of those types."""
    found = [(name, panel) for name, panel in PANELS if panel["type"] in kinds]
    assert found
    return pytest.mark.parametrize("panel", [panel for _, panel in found], ids=[name for name, _ in found])


def variable(document: Document, name: str) -> dict[str, Any]:
    (found,) = (variable for variable in document["templating"]["list"] if variable["name"] == name)
    return dict(found)


def properties(override: dict[str, Any]) -> dict[str, Any]:
    return {change["id"]: change["value"] for change in override["properties"]}


@each_board
def test_dashboard(document: Document) -> None:
    assert document["editable"] is False
    assert document["schemaVersion"] == 42
    assert document["description"].endswith(".")
    assert document["title"].startswith("OpenVPN message queues: ")
    assert "openvpn-mq" in document["tags"]
    assert document["time"] == {"from": "now-1h", "to": "now"}
    assert document["refresh"] == ("1m" if document["uid"] == "openvpn-mq-fleet" else "30s")


@each_board
def test_data_source_is_a_variable(document: Document) -> None:
    source = variable(document, "datasource")
    assert (source["label"], source["type"], source["query"]) == ("Data source", "datasource", "prometheus")
    assert "current" not in source, "the reader's Grafana chooses its default one"


@each_board
def test_query_variables_let_choose_all(document: Document) -> None:
    """cluster, job, instance and whatever a dashboard adds: several at once, all, read anew with the time range."""
    assert [found["name"] for found in document["templating"]["list"]][:4] == [
        "datasource",
        "cluster",
        "job",
        "instance",
    ]
    asked: list[str] = []
    for found in document["templating"]["list"][1:]:
        assert found["type"] == "query", found["name"]
        assert found["datasource"] == SOURCE
        assert found["label"] == found["name"].capitalize()
        assert (found["multi"], found["includeAll"]) == (True, True)
        assert found["refresh"] == 2, "on time range change"
        assert found["query"]["query"] == found["definition"]
        for name in asked[:3]:
            assert f'{name}=~"${name}"' in found["definition"]
        asked.append(found["name"])


@each_board
def test_only_our_own_hosts_are_chosen(document: Document) -> None:
    """`All` jobs are those of our exporter: as `.+` it would be every target of the Prometheus."""
    assert "allValue" not in variable(document, "job")
    assert variable(document, "job")["definition"].startswith("label_values(openvpn_mq_exporter_build_info{")
    assert variable(document, "cluster")["allValue"] == ".*", "most have no such label"
    assert variable(document, "instance")["allValue"] == ".+"
    assert variable(document, "instance")["definition"].startswith("label_values(up{"), "those that are down too"


@each_board
def test_every_variable_is_used(document: Document) -> None:
    queries = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    for found in document["templating"]["list"][1:]:
        assert any(f"${found['name']}" in query for query in queries), found["name"]


def filled(panels: Sequence[Document]) -> set[tuple[int, int]]:
    """Return the cells of the grid that panels fill, none of them twice."""
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        own = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not own & cells, panel["title"]
        cells |= own
    return cells


@each_board
def test_panels_fill_the_grid(document: Document) -> None:
    """Within 24 columns, none on top of another, no hole, none hidden in a row that is folded."""
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert not any(panel.get("collapsed") for panel in document["panels"])
    cells = filled(document["panels"])
    assert len(cells) == 24 * (max(y for _, y in cells) + 1), "a hole in the grid"


@each_board
def test_alerts_come_first_and_tiles_beside_them(document: Document) -> None:
    """At the height of one screen, also at 1280 pixels."""
    first, *others = document["panels"]
    assert first["title"] == "Firing alerts"
    assert first["gridPos"] == {"x": 0, "y": 0, "w": 12, "h": 12}
    tiles = [panel for panel in others if panel["type"] == "stat"]
    assert len(tiles) == 9
    assert {(tile["gridPos"]["w"], tile["gridPos"]["h"]) for tile in tiles} == {(4, 4)}
    assert max(tile["gridPos"]["y"] for tile in tiles) == 8


@each_board
def test_what_an_alert_is_about_is_not_cut_off(document: Document) -> None:
    """A server with the longest hook has 30 letters, and at 1280 pixels the column has room for 20: it is folded."""
    (what,) = (
        properties(override)
        for override in document["panels"][0]["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "What"
    )
    assert what["custom.wrapText"] is True


@each_board
def test_dashboards_lead_to_each_other(document: Document) -> None:
    others = {f"/d/{other['uid']}" for other in BOARDS.values()} - {f"/d/{document['uid']}"}
    assert {link["url"] for link in document["links"]} == others
    for link in document["links"]:
        assert link["keepTime"] is True
        assert link["includeVars"] is True
        assert link["title"]
        assert "placement" not in link, "would be hidden in a menu"


@each_board
def test_events_are_drawn_into_the_graphs(document: Document) -> None:
    """Alerts, restarts, and what else changes what the graphs mean; an alert about no host at all too."""
    alerts, *others = document["annotations"]["list"]
    assert 'cluster=~"$cluster|",job=~"$job",instance=~"$instance|"' in alerts["expr"]
    assert 'alertname=~"OpenvpnMq.+"' in alerts["expr"]
    for annotation in (alerts, *others):
        assert annotation["datasource"] == SOURCE
        assert annotation["enable"] is True
        assert annotation["titleFormat"]
        assert annotation["useValueForTime"] is annotation["expr"].startswith("1000 * ")
    assert len({annotation["iconColor"] for annotation in document["annotations"]["list"]}) == 1 + len(others)
    wanted = {
        "openvpn-mq-fleet": {"Exporter restarts"},
        "openvpn-mq-queues": {"Exporter restarts", "Queues created or changed"},
        "openvpn-mq-openvpn": {"Exporter restarts", "Configuration reloads", "OpenVPN restarts"},
    }
    assert {annotation["name"] for annotation in others} == wanted[document["uid"]]


@each_panel
def test_panel_says_what_it_shows(panel: Document) -> None:
    assert panel["type"] in KINDS, "a new type of panel: give it rules here"
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert re.match(r"[A-Z]|msgsnd", panel["description"])
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["noValue"], "an empty box tells nothing"


@each_panel
def test_titles_are_unique_and_not_cut_off(panel: Document) -> None:
    """At 1280 pixels a twenty-fourth of the width is 53: some six letters, and a tile's title has less room."""
    assert len(panel["title"]) <= (18 if panel["type"] == "stat" else 5 * panel["gridPos"]["w"])
    (document,) = (document for document in BOARDS.values() if any(panel is other for other in document["panels"]))
    assert [other["title"] for other in document["panels"]].count(panel["title"]) == 1


@each("stat")
def test_a_tile_shows_its_course(panel: Document) -> None:
    """And the number of now, never one from before: its query always answers, at the last moment too."""
    assert panel["options"]["graphMode"] == "area"
    assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]
    (target,) = panel["targets"]
    assert target["range"]
    assert target["expr"].endswith(" or vector(-2)")


@each("stat")
def test_what_is_not_known_or_off_is_grey(panel: Document) -> None:
    """A number that nobody counts would else have the colour of a good 0."""
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    words = {value: (result["text"], result["color"]) for value, result in mapping["options"].items()}
    assert words == {"-1": ("unknown", GREY), "-2": ("off", GREY)}


@each("stat")
def test_a_tile_leads_to_what_explains_it(panel: Document) -> None:
    """A panel of the same dashboard, with all that is chosen."""
    (document,) = (document for document in BOARDS.values() if any(panel is other for other in document["panels"]))
    (link,) = panel["fieldConfig"]["defaults"]["links"]
    found = re.fullmatch(
        rf"/d/{document['uid']}\?viewPanel=(\d+)&\$\{{__all_variables}}&\$\{{__url_time_range}}", link["url"]
    )
    assert found
    (target,) = (other for other in document["panels"] if other["id"] == int(found[1]))
    assert link["title"] == f"Explained by: {target['title']}"
    assert target["type"] in {"timeseries", "table"}


@each("table", "timeseries")
def test_overrides_meet_a_column_or_a_query(panel: Document) -> None:
    """An override that meets nothing would silently do nothing."""
    headings = {
        heading
        for step in panel["transformations"]
        if step["id"] == "organize"
        for heading in step["options"]["renameByName"].values()
    }
    refs = {target["refId"] for target in panel["targets"]}
    for override in panel["fieldConfig"]["overrides"]:
        match override["matcher"]:
            case {"id": "byName", "options": name}:
                assert name in headings
            case {"id": "byFrameRefID", "options": name}:
                assert name in refs
            case {"id": "byRegexp", "options": pattern}:
                assert re.search(pattern.strip("/"), "none")
                assert re.search(pattern.strip("/"), "p99 none")
                assert re.search(pattern.strip("/"), "none EAGAIN")
                assert not re.search(pattern.strip("/"), "none2 @ host")
                assert properties(override)["color"] == {"mode": "fixed", "fixedColor": GREY}
            case other:
                raise AssertionError(other)
        assert properties(override).get("unit", "none") in UNITS


@each("timeseries")
def test_each_line_has_its_own_colour(panel: Document) -> None:
    """Lines of a graph's further queries differ in how they are drawn, so that colours may repeat."""
    assert panel["fieldConfig"]["defaults"]["color"] == {"mode": "palette-classic"}
    styles = [
        properties(override)
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byFrameRefID"
    ]
    names = {target["refId"] for target in panel["targets"]}
    bars = panel["fieldConfig"]["defaults"]["custom"].get("drawStyle") == "bars"
    assert len(names) <= 2
    if len(names) == 2 and not bars:
        (style,) = styles
        assert style in ({"custom.transform": "negative-Y"}, {"custom.lineStyle": {"fill": "dash", "dash": [6, 6]}})


@each("timeseries")
def test_legends_leave_room_for_the_plot(panel: Document) -> None:
    """Below it, nothing but names."""
    legend = panel["options"]["legend"]
    assert (legend["showLegend"], legend["displayMode"], legend["placement"]) == (True, "list", "bottom")
    assert legend["calcs"] == []
    (rename,) = panel["transformations"]
    assert rename["id"] == "renameByRegex"


@each("timeseries")
def test_a_legend_that_names_scripts_twice_needs_no_scrolling(panel: Document) -> None:
    """At 1280 pixels a script, its server and its host take a line, and there is room for four."""
    twice = len(panel["targets"]) == 2 and all("{{hook}}" in target["legendFormat"] for target in panel["targets"])
    lines = [int(found) for target in panel["targets"] for found in re.findall(r"topk\((\d+)", target["expr"])]
    assert not twice or sum(lines) <= 4


@each("timeseries")
def test_units_of_what_is_counted(panel: Document) -> None:
    """A minute if the query says so, and only then."""
    per_minute = ["60 * " in target["expr"] for target in panel["targets"]]
    assert per_minute == [panel["fieldConfig"]["defaults"]["unit"] == PER_MINUTE] * len(per_minute)


@each_panel
def test_thresholds_rise(panel: Document) -> None:
    """The first from the bottom, the others in order: Grafana does not sort them."""
    fields = [panel["fieldConfig"]["defaults"].get("thresholds")]
    fields += [properties(override).get("thresholds") for override in panel["fieldConfig"]["overrides"]]
    for thresholds in filter(None, fields):
        assert thresholds["mode"] == "absolute"
        values = [step["value"] for step in thresholds["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    if panel["type"] == "stat":
        assert fields[0], "a number without a colour tells nobody whether it is bad"


PAGES = {"Hosts down", "Hanging scripts", "Blocked senders", "Full queues"}
WARNS = {"Script failures", "Updates dropped", "Not connected", "Failing collectors", "Sends refused", "Below msgmnb",
         "Management down", "Status files bad"}  # fmt: skip


@each("stat")
def test_red_is_what_pages(panel: Document) -> None:
    """And orange what only warns, on every dashboard."""
    colours = [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    if panel["title"] in PAGES:
        assert colours[-1] == BAD
    elif panel["title"] in WARNS:
        assert colours[-1] == WARNING
    else:
        assert panel["title"] in {"Fullest queue", "Blocked by scripts", "Failure ratio", "Unread for", "Messages",
                                  "Waiting receivers", "Clients connected", "Queues"}  # fmt: skip


@each("table")
def test_tables_join_by_their_keys(panel: Document) -> None:
    """All columns of one moment, merged, named by hand, sorted by one of them, and then by the keys."""
    merge, organize, *sorts = panel["transformations"]
    assert (merge["id"], organize["id"], {sort["id"] for sort in sorts}) == ("merge", "organize", {"sortBy"})
    columns = organize["options"]["renameByName"]
    values = {f"Value #{target['refId']}" for target in panel["targets"]} if len(panel["targets"]) > 1 else {"Value"}
    assert values == {name for name in columns if name.startswith("Value")}
    assert set(organize["options"]["indexByName"]) == set(columns)
    assert len(set(columns.values())) == len(columns)
    *keys, decides = [sort["options"]["sort"][0]["field"] for sort in sorts]
    assert decides in columns.values()
    assert {*keys, decides} >= {name for value, name in columns.items() if not value.startswith("Value")}


@each("table")
def test_cells_of_what_is_not_known_say_so(panel: Document) -> None:
    """In every column, and not in the colour of something."""
    values = {name for name in panel["transformations"][1]["options"]["renameByName"] if name.startswith("Value")}
    headings = {panel["transformations"][1]["options"]["renameByName"][name] for name in values}
    seen = 0
    for override in panel["fieldConfig"]["overrides"]:
        found = properties(override)
        if override["matcher"]["options"] in headings and "mappings" in found:
            assert found["mappings"][0]["options"]["-1"]["text"] == "unknown"
            assert found["mappings"][0]["options"]["-1"]["color"] in {"transparent", GREY}
            seen += 1
    assert seen == len(headings)


LINKED = [
    (f"{name}: {properties(override).get('links')}", link)
    for name, panel in PANELS
    for override in panel["fieldConfig"]["overrides"]
    for link in properties(override).get("links", ())
]


@pytest.mark.parametrize("link", [link for _, link in LINKED], ids=[name[:60] for name, _ in LINKED])
def test_links_lead_to_dashboards_that_exist(link: dict[str, str]) -> None:
    """With the same data source, cluster, job and time range, and variables that the dashboard has; or to a runbook."""
    assert link["title"]
    if link["title"] == "Runbook":
        assert link["url"].endswith("/docs/runbooks/${__value.raw}.md")
        return
    uid = re.match(r"/d/([\w-]+)\?", link["url"])
    assert uid
    (target,) = (document for document in BOARDS.values() if document["uid"] == uid[1])
    known = {found["name"] for found in target["templating"]["list"]}
    assert set(re.findall(r"var-(\w+)=", link["url"])) <= known
    kept = "${datasource:queryparam}&${cluster:queryparam}&${job:queryparam}&${__url_time_range}"
    assert kept in link["url"]
