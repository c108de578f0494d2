"""A whole dashboard: variables, links, annotations, panels in rows; and its JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from string import ascii_uppercase
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import DATASOURCE, VIEW
from dashboards.queries import scoped

_SCHEMA: Final = 42
"""Grafana's version of the classic JSON: what it would migrate an older one to."""

_COLUMNS: Final = 24

TITLES: Final = {
    "openvpn-mq-fleet": "OpenVPN message queues: Fleet",
    "openvpn-mq-queues": "OpenVPN message queues: Queues",
    "openvpn-mq-openvpn": "OpenVPN message queues: OpenVPN",
}
"""Title by uid; alerts and runbooks link to the uids, which therefore never change."""

Panels = Sequence[Builder[models.Panel]]


class Variable(NamedTuple):
    """A variable of the dashboard that the reader chooses from the values of a query."""

    name: str
    label: str
    query: str
    every: str | None = ".+"
    """What `All` stands for; None: the values that there are."""


class Annotation(NamedTuple):
    """Marks in all graphs."""

    name: str
    colour: str
    expression: str
    title: str
    text: str
    at_value: bool = False
    """The mark belongs at the time that the value is, in milliseconds, and not at that of the sample."""


class Board(NamedTuple):
    """What makes one dashboard differ from the others."""

    uid: str
    description: str
    rows: Mapping[str, Panels]
    """Panels by the row's title; those under the empty title are above all rows."""
    annotations: Sequence[Annotation]
    """On top of the alerts."""
    variables: Sequence[Variable] = ()
    matchers: Mapping[str, str] = {}
    """As queries.scoped() takes them."""
    refresh: str = "30s"
    interval: str | None = None
    """The smallest step of all panels, where their data are recorded at a slower pace than scraped."""


VARIABLES: Final = (
    Variable("cluster", "Cluster", "label_values(openvpn_mq_exporter_build_info, cluster)", ".*"),
    # Without a value of its own for All: that would match the targets of every other exporter.
    Variable("job", "Job", 'label_values(openvpn_mq_exporter_build_info{cluster=~"$cluster"}, job)', None),
    Variable("instance", "Instance", 'label_values(up{cluster=~"$cluster",job=~"$job"}, instance)'),
)

_FIRES: Final = 'ALERTS{alertname=~"OpenvpnMq.+",alertstate="firing"}'

# The moments when they begin, a step apart: Grafana would shade the time for which each fires, and a few that fire at
# once hide the lines.
ALERTS: Final = Annotation(
    "Alerts", "red", f"{_FIRES} unless {_FIRES} offset 1m", "{{alertname}}", "{{instance}} {{queue}} {{server}}"
)
RESTARTS: Final = Annotation(
    "Exporter restarts", "blue", "1000 * process_start_time_seconds{}", "The exporter started", "{{instance}}", True
)


def render(board: Board) -> str:
    """Return the dashboard's JSON, the same for the same board."""
    builder = (
        builders.Dashboard(TITLES[board.uid])
        .uid(board.uid)
        .description(board.description)
        .tags(["openvpn", "openvpn-mq"])
        .readonly()
        .timezone("browser")
        .refresh(board.refresh)
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus").regex("").multi(False)
        )
    )
    for variable in (*VARIABLES, *board.variables):
        builder.with_variable(_variable(variable))
    for uid, title in TITLES.items():
        if uid != board.uid:
            builder.link(
                builders.DashboardLink(title.split(": ")[1])
                .type(models.DashboardLinkType.LINK)
                .url(f"/d/{uid}")
                .icon("dashboard")
                .tooltip(title)
                .include_vars(True)
                .keep_time(True)
            )
    for heading, panels in board.rows.items():
        if heading:
            builder.with_row(builders.Row(heading))
        for panel in panels:
            builder.with_panel(panel)
    document: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    document["schemaVersion"] = _SCHEMA
    for link in document["links"]:
        del link["placement"]  # the SDK knows one place only, a menu where nobody looks
    document["annotations"] = {"list": [_annotation(each) for each in (ALERTS, *board.annotations)]}
    _place(document["panels"])
    _finish(document["panels"], board)
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _variable(variable: Variable) -> builders.QueryVariable:
    builder = (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(DATASOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .definition(variable.query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .current(models.VariableOption(text=["All"], value=["$__all"], selected=True))
    )
    return builder.all_value(variable.every) if variable.every else builder


def _annotation(annotation: Annotation) -> dict[str, Any]:
    """Return what the SDK has no builder for: the Prometheus data source's own kind of annotation."""
    return {
        "name": annotation.name,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "iconColor": annotation.colour,
        "expr": scoped(annotation.expression, {}),
        "titleFormat": annotation.title,
        "textFormat": annotation.text,
        "step": "60s",
        "useValueForTime": annotation.at_value,
    }


def _place(panels: Iterable[dict[str, Any]]) -> None:
    """Put each panel as high up as it fits, then as far to the left: a tall one has small ones beside it."""
    filled = [0] * _COLUMNS
    for panel in panels:
        place = panel["gridPos"]
        if panel["type"] == "row":
            place |= {"w": _COLUMNS, "h": 1}
        width = place["w"]
        starts = range(_COLUMNS - width + 1)
        place["y"], place["x"] = min((max(filled[x : x + width]), x) for x in starts)
        filled[place["x"] : place["x"] + width] = [place["y"] + place["h"]] * width


def _finish(panels: Iterable[dict[str, Any]], board: Board) -> None:
    """Add what the SDK leaves to its user: numbers of panels and queries, every selector's matchers, own links."""
    numbers = count(1)
    for panel in panels:
        panel["id"] = next(numbers)
    ids = {panel["title"]: panel["id"] for panel in panels}
    for panel in panels:
        if board.interval and panel["type"] != "row":
            panel["interval"] = board.interval
        for name, target in zip(ascii_uppercase, panel.get("targets", ()), strict=False):
            target["refId"] = name
            target["expr"] = scoped(target["expr"], board.matchers)
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", ()):
            title = link["url"].removeprefix(VIEW)
            link["url"] = f"/d/{board.uid}?viewPanel={ids[title]}&${{__all_variables}}&${{__url_time_range}}"
