"""What linters ask of queries, over every query of every panel, and what they forget to ask."""

import re

import pytest

from tests.support.boards import BOARDS, TARGETS, Document, names
from tests.support.rulebook import recorded

SCOPE = 'cluster=~"$cluster",job=~"$job",instance=~"$instance"'
GRAFANA_VARIABLES = {"__rate_interval", "__interval", "__range", "__url_time_range", "__value", "__data"}
FUNCTIONS = {
    "avg_over_time", "clamp_max", "clamp_min", "count", "floor", "group", "histogram_quantile", "increase",
    "label_join", "label_replace", "max", "max_over_time", "min_over_time", "rate", "sum", "time", "topk", "vector",
}  # fmt: skip


def each(*kinds: str) -> pytest.MarkDecorator:
    """Return a mark: every query of the panels of those types, of all panels if none is named."""
    found = [(name, panel, target) for name, panel, target in TARGETS if not kinds or panel["type"] in kinds]
    assert found
    return pytest.mark.parametrize(
        ("panel", "target"), [(panel, target) for _, panel, target in found], ids=[name for name, _, _ in found]
    )


each_query = pytest.mark.parametrize(
    "target", [target for _, _, target in TARGETS], ids=[name for name, _, _ in TARGETS]
)


def wanted(target: Document) -> set[str]:
    """Return the labels that the legend names."""
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))


@each()
def test_query_belongs_to_its_panel(panel: Document, target: Document) -> None:
    assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [other["refId"] for other in panel["targets"]].count(target["refId"]) == 1
    over_time = panel["type"] in {"timeseries", "stat"}
    assert (target["range"], target["instant"]) == (over_time, not over_time)
    assert target.get("format") == ("table" if panel["type"] == "table" else None)
    if panel["type"] != "table":
        assert target["legendFormat"] not in {"", "__auto"}


@each("timeseries")
def test_graphs_have_few_lines_each_with_a_name(panel: Document, target: Document) -> None:
    """Eight at most, those that were highest in the time range; if they are some of many, the title says so.

    The labels that tell lines apart are those that the legend names.
    """
    found = re.match(r"\(.+\) and on \(([\w, ]+)\) topk\((\d), max_over_time\(\(", target["expr"])
    assert found
    labels = set(found[1].split(", "))
    assert int(found[2]) * len(panel["targets"]) <= 16
    assert int(found[2]) <= 8
    assert labels == wanted(target), "two lines with one name"
    if "instance" in labels:
        assert f"(top {found[2]}" in panel["title"]


@each("timeseries")
def test_what_is_shown_is_grouped_by_the_labels_that_it_is_named_by(panel: Document, target: Document) -> None:
    """A label more, such as `replica`, would draw a line twice under one name."""
    expression = re.sub(r'\{[^}]*\}|"[^"]*"', "{}", target["expr"])
    (shown,) = re.findall(r"^\((.+?)\) and on \([\w, ]+\) topk", expression)
    outermost = re.match(r"(?:[\d.* (-]|time\(\) - |histogram_quantile\([\d.]+, )*(?:sum|max) by \(([\w, ]+)\)", shown)
    assert outermost, shown
    assert set(outermost[1].split(", ")) - {"le"} == wanted(target), panel["title"]


@each_query
def test_every_selector_carries_cluster_job_and_instance(target: Document) -> None:
    """And whatever else is in the expression is a known function or a metric with a selector."""
    for name, following in names(target["expr"]):
        assert following in {"{", "("}, f"{name} has no selector"
        if following == "(":
            assert name in FUNCTIONS, name
    selectors = re.findall(r"(\w+)\{([^}]*)\}", target["expr"])
    assert selectors
    for metric, selector in selectors:
        if metric.startswith("ALERTS"):
            assert selector.startswith('cluster=~"$cluster|",job=~"$job",instance=~"$instance|"')
        else:
            assert selector.startswith(SCOPE)


@each()
def test_variables_exist(panel: Document, target: Document) -> None:
    (document,) = (document for document in BOARDS.values() if any(panel is other for other in document["panels"]))
    known = {found["name"] for found in document["templating"]["list"]} | GRAFANA_VARIABLES
    assert set(re.findall(r"\$\{?(\w+)", target["expr"])) <= known


@each()
def test_ranges_follow_the_zoom(panel: Document, target: Document) -> None:
    """In graphs. A tile or a cell tells of the last five minutes, and a funnel of the whole time range."""
    windows = re.findall(r"\w+\([a-z_]+\{[^}]*\}\[([^]]*)\]", target["expr"])
    allowed = {
        "timeseries": {"$__rate_interval"},
        "stat": {"$__rate_interval", "5m"},
        "table": {"$__rate_interval", "5m"},
        "bargauge": {"$__range"},
    }
    assert set(windows) <= allowed[panel["type"]]
    ranked = len(re.findall(r"\)\[\$__range:\$__interval\] @ end\(\)\)", target["expr"]))
    assert len(re.findall(r"\[[^]]*\]", target["expr"])) == len(windows) + ranked, "a subquery, or an odd range"
    assert ranked == target["expr"].count("max_over_time((") == target["expr"].count("@")
    assert not ranked or panel["type"] == "timeseries", "only graphs rank their lines over the time range"


@each_query
def test_counters_are_directly_in_rate_or_increase(target: Document) -> None:
    """Unless it only matters whether they exist."""
    presence = ("openvpn_script_runs_total", "openvpn_hook_runs_total", "openvpn_script_failures_total",
                "openvpn_log_lines_total")  # fmt: skip
    for before, name in re.findall(r"(\w*\(?)(?<![\w:])(\w+)\{", target["expr"]):
        if re.search(r"_(total|bucket|sum|count)$", name):
            assert before in {"rate(", "increase("} or name in presence, name
        else:
            assert before not in {"rate(", "increase("}, f"{name} is no counter"


@each_query
def test_what_is_matched_on_a_target_is_unique_there(target: Document) -> None:
    """A second Prometheus with its own label `replica` must not make a join fail: the one side is aggregated."""
    for found in re.finditer(r"on \([\w, ]+\) group_left \([\w, ]*\) *(\w+)", target["expr"]):
        assert found[1] == "max", target["expr"][found.start() : found.start() + 120]


RECORDED = [
    (panel, target) for name, panel, target in TARGETS if ":" in re.sub(r'"[^"]*"|\[[^]]*\]', "", target["expr"])
]


def test_only_fleet_reads_recording_rules() -> None:
    """The others work where only the exporter is scraped."""
    fleet = BOARDS["fleet"]["panels"]
    assert RECORDED
    assert all(any(panel is other for other in fleet) for panel, _ in RECORDED)


@pytest.mark.parametrize(("panel", "target"), RECORDED, ids=[panel["title"] for panel, _ in RECORDED])
def test_recorded_series_exist(panel: Document, target: Document) -> None:
    found = re.findall(r"[\w]+:\w+:\w+", re.sub(r'"[^"]*"|\[[^]]*\]', "", target["expr"]))
    assert found, panel["title"]
    assert set(found) <= set(recorded())


PER_QUEUE = re.compile(r"sysv_msg_queue_(?!fill|max_fill)\w+\{")


@pytest.mark.parametrize(
    "panel", BOARDS["fleet"]["panels"], ids=[panel["title"] for panel in BOARDS["fleet"]["panels"]]
)
def test_fleet_reads_few_series_per_host(panel: Document) -> None:
    """No series per queue (but for the list of the fullest), hook or bucket: a thousand hosts are few.

    One that exists only while its queue is full is as rare.
    """
    for target in panel.get("targets", ()):
        assert not PER_QUEUE.search(target["expr"]), panel["title"]
        assert not re.search(r"(?<!:)\bopenvpn_(hook|script)_\w+\{|_bucket\{", target["expr"]), panel["title"]
        if re.search(r"instance_queue:(?!sysv_msg_queue_full:ratio)|sysv_msg_queue_fill", target["expr"]):
            assert panel["title"] == "Fullest queues (top 8)"
            assert target["instant"]
