"""What linters ask of queries, over every query of every panel, and what they forget to ask."""

import re

import pytest

from tests.support.boards import BOARDS, TARGETS, Document, names

GRAFANA_VARIABLES = {"__rate_interval", "__interval", "__range", "__url_time_range", "__value", "__data"}
FUNCTIONS = {
    "avg_over_time", "clamp_min", "histogram_quantile", "increase", "label_replace", "max", "max_over_time", "rate",
    "sum", "time", "topk",
}  # fmt: skip

each_target = pytest.mark.parametrize(
    ("panel", "target"), [(panel, target) for _, panel, target in TARGETS], ids=[name for name, _, _ in TARGETS]
)

each_query = pytest.mark.parametrize(
    "target", [target for _, _, target in TARGETS], ids=[name for name, _, _ in TARGETS]
)


@each_target
def test_query_belongs_to_its_panel(panel: Document, target: Document):
    assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [other["refId"] for other in panel["targets"]].count(target["refId"]) == 1
    graph = panel["type"] == "timeseries"
    assert (target["range"], target["instant"]) == (graph, not graph)
    assert target.get("format") == ("table" if panel["type"] == "table" else None)
    if panel["type"] != "table":
        assert target["legendFormat"] not in {"", "__auto"}


@each_query
def test_legends_use_labels_that_the_query_keeps(target: Document):
    """Where a query groups, a legend can name those labels only."""
    wanted = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))
    grouping = re.match(
        r"[-(]*(?:\d+ \* )?\(?(?:histogram_quantile\([\d.]+, )?(?:sum|max) by \(([\w, ]+)\)", target["expr"]
    )
    if grouping:
        assert wanted <= set(grouping[1].split(", "))


@each_target
def test_graphs_have_few_lines(panel: Document, target: Document):
    """Eight at most, those that were highest in the time range; where they are some of many, the title says so."""
    if panel["type"] != "timeseries":
        return
    found = re.match(r"-?\(+.+\) and on \(([\w, ]+)\) topk\((\d), max_over_time\(\(", target["expr"])
    assert found
    labels = set(found[1].split(", "))
    assert int(found[2]) * len(panel["targets"]) <= 16
    assert int(found[2]) <= 8
    assert labels == set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"])), "two lines with one name"
    if "instance" in labels:
        assert f"(top {found[2]}" in panel["title"]


@each_query
def test_every_selector_carries_job_and_instance(target: Document):
    """And whatever stands in the expression is a known function or a metric with a selector."""
    for name, following in names(target["expr"]):
        assert following in {"{", "("}, f"{name} has no selector"
        if following == "(":
            assert name in FUNCTIONS
    selectors = re.findall(r"\{([^}]*)\}", target["expr"])
    assert selectors
    for selector in selectors:
        assert selector.startswith('job=~"$job",instance=~"$instance"')


@each_target
def test_variables_exist(panel: Document, target: Document):
    (document,) = (document for document in BOARDS.values() if panel in document["panels"])
    known = {found["name"] for found in document["templating"]["list"]} | GRAFANA_VARIABLES
    used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
    assert used <= known


@each_query
def test_ranges_follow_the_zoom(target: Document):
    """Rates over $__rate_interval always; increase over $__range for a number that counts the whole time range."""
    for function, window in re.findall(r"(\w+)\([a-z_]+\{[^}]*\}\[([^]]*)\]", target["expr"]):
        if function == "increase":
            assert window == "$__range"
            assert target["instant"], "over a graph's every point the whole range would be counted"
        else:
            assert window == "$__rate_interval"
    windows = len(re.findall(r"\[[^]]*\]", target["expr"]))
    direct = len(re.findall(r"\w+\([a-z_]+\{[^}]*\}\[[^]]*\]", target["expr"]))
    ranked = len(re.findall(r"\)\[\$__range:\$__interval\] @ end\(\)\)", target["expr"]))
    assert windows == direct + ranked, "a subquery, or an odd range"
    assert ranked == target["expr"].count("max_over_time((") == target["expr"].count("@")
    assert not ranked or target["range"], "only graphs rank their lines over the time range"


@each_query
def test_counters_stand_directly_in_rate_or_increase(target: Document):
    for before, name in re.findall(r"(\w*\(?)\b(\w+)\{", target["expr"]):
        if re.search(r"_(total|bucket|sum|count)$", name):
            assert before in {"rate(", "increase("}, name
        else:
            assert before not in {"rate(", "increase("}, f"{name} is no counter"


@each_query
def test_no_recording_rule_is_needed(target: Document):
    """The panels work where only the exporter is scraped."""
    assert all(":" not in name for name, _ in names(target["expr"]))
