"""What linters ask of dashboards and panels, over every panel of every type, and what they forget to ask."""

import itertools
import re
from typing import Any, get_args

import pytest
from grafana_foundation_sdk.models import units

from tests.support.boards import BOARDS, PANELS, Document

KINDS = {"stat", "timeseries", "table"}
PER_MINUTE = "suffix:/min"
UNITS = {unit for kind in units.__annotations__.values() for unit in get_args(kind)} | {PER_MINUTE}
COLOURS = {"blue", "purple", "orange", "red"}

each_board = pytest.mark.parametrize("document", BOARDS.values(), ids=BOARDS)
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=[name for name, _ in PANELS])


def variable(document: Document, name: str) -> dict[str, Any]:
    (found,) = (variable for variable in document["templating"]["list"] if variable["name"] == name)
    return dict(found)


@each_board
def test_dashboard(document: Document):
    assert document["editable"] is False
    assert document["schemaVersion"] == 42
    assert document["description"].endswith(".")
    assert document["title"].startswith("OpenVPN message queues: ")
    assert "openvpn-mq" in document["tags"]
    assert (document["refresh"], document["time"]) == ("30s", {"from": "now-1h", "to": "now"})


@each_board
def test_data_source_is_a_variable(document: Document):
    source = variable(document, "datasource")
    assert (source["label"], source["type"], source["query"]) == ("Data source", "datasource", "prometheus")
    assert "current" not in source, "the reader's Grafana chooses its default one"


@each_board
def test_query_variables_let_choose_all(document: Document):
    """job, instance and whatever a dashboard adds: several at once, all of them, read anew with the time range."""
    assert [found["name"] for found in document["templating"]["list"]][:3] == ["datasource", "job", "instance"]
    for found in document["templating"]["list"][1:]:
        assert found["type"] == "query", found["name"]
        assert found["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert found["label"] == found["name"].capitalize()
        assert (found["multi"], found["includeAll"], found["allValue"]) == (True, True, ".+")
        assert found["refresh"] == 2, "on time range change"
        assert found["query"]["query"] == found["definition"]
        if found["name"] != "job":
            assert 'job=~"$job"' in found["definition"]
        if found["name"] not in {"job", "instance"}:
            assert 'instance=~"$instance"' in found["definition"]


@each_board
def test_every_variable_is_used(document: Document):
    queries = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    for found in document["templating"]["list"][1:]:
        assert any(f"${found['name']}" in query for query in queries), found["name"]


@each_board
def test_panels_stand_side_by_side(document: Document):
    """Within 24 columns, none on top of another, none hidden in a row that is folded."""
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        own = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not own & cells, panel["title"]
        cells |= own
        assert not panel.get("collapsed"), panel["title"]
    widest = max(y for _, y in cells) + 1
    assert len(cells) == 24 * widest, "a hole in the grid"


@each_board
def test_dashboards_lead_to_each_other(document: Document):
    others = {f"/d/{other['uid']}" for other in BOARDS.values()} - {f"/d/{document['uid']}"}
    assert {link["url"] for link in document["links"]} == others
    for link in document["links"]:
        assert link["keepTime"] is True
        assert link["includeVars"] is True
        assert link["title"]
        assert "placement" not in link, "would be hidden in a menu"


@each_board
def test_alerts_are_drawn_into_the_graphs(document: Document):
    (annotation,) = document["annotations"]["list"]
    assert annotation["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert 'alertname=~"OpenvpnMq.+"' in annotation["expr"]
    assert 'job=~"$job",instance=~"$instance"' in annotation["expr"]
    assert annotation["enable"] is True


@each_panel
def test_panel_says_what_it_shows(panel: Document):
    assert panel["type"] in KINDS, "a new type of panel: give it rules here"
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert re.match(r"[A-Z]|msgsnd", panel["description"])
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["noValue"], "an empty box tells nothing"


@each_panel
def test_short_titles_are_not_cut_off(panel: Document):
    """At 1280 pixels a twenty-fourth of the width is 53: some six letters."""
    assert len(panel["title"]) <= 5 * panel["gridPos"]["w"]


@each_panel
def test_overrides_meet_a_column(panel: Document):
    """An override by a name that no column has would silently do nothing."""
    if panel["type"] == "timeseries":
        return
    headings = {
        heading
        for step in panel.get("transformations", [])
        if step["id"] == "organize"
        for heading in step["options"]["renameByName"].values()
    }
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byName"
        assert override["matcher"]["options"] in headings
        for change in override["properties"]:
            if change["id"] == "unit":
                assert change["value"] in UNITS
            if change["id"] == "mappings":
                assert all(mapping["type"] in {"value", "range"} for mapping in change["value"])


@each_panel
def test_colours_of_lines_mean_something(panel: Document):
    """No palette, which would draw the fifth healthy host in red; what does not happen is grey.

    A further query of a graph has a colour of its own, and nothing else is overridden.
    """
    if panel["type"] != "timeseries":
        return
    colour = panel["fieldConfig"]["defaults"]["color"]
    *others, nothing = panel["fieldConfig"]["overrides"]
    assert nothing["matcher"]["id"] == "byRegexp"
    pattern = nothing["matcher"]["options"].strip("/")
    assert re.search(pattern, "none")
    assert re.search(pattern, "p99 none")
    assert not re.search(pattern, "none2 @ host")
    assert [override["matcher"] for override in others] == [
        {"id": "byFrameRefID", "options": target["refId"]} for target in panel["targets"][1:]
    ]
    colours = [colour, *(override["properties"][0]["value"] for override in others)]
    if len(colours) > 1:
        assert all(found["mode"] == "shades" and found["fixedColor"] in COLOURS for found in colours)
        assert len({found["fixedColor"] for found in colours}) == len(colours)
    else:
        assert colour["mode"] in {"thresholds", "continuous-BlPu", "continuous-YlRd"}
        losses = re.search("fail|refused|dropped|[Tt]rouble", panel["title"])
        assert bool(losses) is (colour["mode"] == "continuous-YlRd"), "red for losses, and for nothing else"
        assert (colour["seriesBy"], len(colours)) == ("max", 1)


@each_panel
def test_what_is_off_is_not_green(panel: Document):
    """A number that nobody counts would else have the colour of a good 0."""
    if panel["type"] != "stat":
        return
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert (mapping["type"], mapping["options"]["match"]) == ("special", "null")
    assert mapping["options"]["result"] == {"text": panel["fieldConfig"]["defaults"]["noValue"], "color": "#8e8e8e"}


@each_panel
def test_legends_are_tables(panel: Document):
    """Every line by its name, the highest first: a list under the graph hides those that it has no room for."""
    if panel["type"] != "timeseries":
        return
    legend = panel["options"]["legend"]
    assert (legend["showLegend"], legend["displayMode"], legend["placement"]) == (True, "table", "right")
    assert (legend["calcs"], legend["sortBy"]) in ((["max"], "Max"), (["lastNotNull"], "Last *"))
    assert legend["sortDesc"] is True


@each_panel
def test_units_of_what_is_counted(panel: Document):
    """A minute where the query says so, and only there."""
    if panel["type"] == "timeseries":
        per_minute = ["60 * " in target["expr"] for target in panel["targets"]]
        assert per_minute == [panel["fieldConfig"]["defaults"]["unit"] == PER_MINUTE] * len(per_minute)


@each_panel
def test_thresholds_rise(panel: Document):
    """The first from the bottom, the others in order: Grafana does not sort them."""
    fields = [panel["fieldConfig"]["defaults"].get("thresholds")]
    for override in panel["fieldConfig"]["overrides"]:
        fields += [change["value"] for change in override["properties"] if change["id"] == "thresholds"]
    for thresholds in filter(None, fields):
        assert thresholds["mode"] == "absolute"
        values = [step["value"] for step in thresholds["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    if panel["type"] == "stat":
        assert fields[0], "a number without a colour tells nobody whether it is bad"


@each_panel
def test_tables_join_by_their_keys(panel: Document):
    """All columns of one moment, merged, named by hand, sorted by one of them."""
    if panel["type"] == "timeseries":
        (rename,) = panel["transformations"]
        assert rename["id"] == "renameByRegex"
        return
    if panel["type"] != "table":
        assert "transformations" not in panel
        return
    merge, organize, sort = panel["transformations"]
    assert (merge["id"], organize["id"], sort["id"]) == ("merge", "organize", "sortBy")
    columns = organize["options"]["renameByName"]
    values = {f"Value #{target['refId']}" for target in panel["targets"]} if len(panel["targets"]) > 1 else {"Value"}
    assert values == {name for name in columns if name.startswith("Value")}
    assert set(organize["options"]["indexByName"]) == set(columns)
    assert len(set(columns.values())) == len(columns)
    assert sort["options"]["sort"][0]["field"] in columns.values()


@each_panel
def test_links_lead_to_dashboards_that_exist(panel: Document):
    """With the same data source, job and time range, and variables that the dashboard has."""
    for override in panel["fieldConfig"]["overrides"]:
        for link in itertools.chain(*(change["value"] for change in override["properties"] if change["id"] == "links")):
            uid = re.match(r"/d/([\w-]+)\?", link["url"])
            assert uid
            (target,) = (document for document in BOARDS.values() if document["uid"] == uid[1])
            known = {found["name"] for found in target["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", link["url"])) <= known
            assert "${datasource:queryparam}&${job:queryparam}&${__url_time_range}" in link["url"]
            assert link["title"]
