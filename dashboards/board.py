"""A whole dashboard: variables, links, alerts as annotations, panels in rows; and its JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from string import ascii_uppercase
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import DATASOURCE
from dashboards.queries import scoped

_SCHEMA: Final = 42
"""Grafana's version of the classic JSON: what it would migrate an older one to."""

TITLES: Final = {
    "openvpn-mq-fleet": "OpenVPN message queues: Fleet",
    "openvpn-mq-queues": "OpenVPN message queues: Queues",
    "openvpn-mq-openvpn": "OpenVPN message queues: OpenVPN",
}
"""Title by uid; alerts and runbooks link to the uids, which therefore never change."""

Panels = Sequence[Builder[models.Panel]]


class Variable(NamedTuple):
    """A further variable of the dashboard, on top of data source, job and instance."""

    name: str
    label: str
    query: str


class Board(NamedTuple):
    """What makes one dashboard differ from the others."""

    uid: str
    description: str
    rows: Mapping[str, Panels]
    """Panels by the row's title; those under the empty title stand above all rows."""
    variables: Sequence[Variable] = ()
    matchers: Mapping[str, str] = {}
    """As queries.scoped() takes them."""


def render(board: Board) -> str:
    """The dashboard's JSON, the same for the same board."""
    builder = (
        builders.Dashboard(TITLES[board.uid])
        .uid(board.uid)
        .description(board.description)
        .tags(["openvpn", "openvpn-mq"])
        .readonly()
        .timezone("browser")
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus").regex("").multi(False)
        )
        .with_variable(_variable(Variable("job", "Job", "label_values(openvpn_mq_exporter_build_info, job)")))
        .with_variable(
            _variable(
                Variable("instance", "Instance", 'label_values(openvpn_mq_exporter_build_info{job=~"$job"}, instance)')
            )
        )
        .annotation(
            builders.AnnotationQuery()
            .name("Alerts")
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color("red")
            .expr(scoped('ALERTS{alertname=~"OpenvpnMq.+",alertstate="firing"}', {}))
            .title_format("{{alertname}}")
            .text_format("{{instance}} {{queue}} {{server}}")
            .step("60s")
        )
    )
    for variable in board.variables:
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
    for shown in (*document["links"], *document["annotations"]["list"]):
        del shown["placement"]  # the SDK knows one place only, a menu where nobody looks
    _finish(document["panels"], board.matchers)
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _variable(variable: Variable) -> builders.QueryVariable:
    return (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(DATASOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .definition(variable.query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(text=["All"], value=["$__all"], selected=True))
    )


def _finish(panels: Iterable[dict[str, Any]], matchers: Mapping[str, str]) -> None:
    """What the SDK leaves to its user: ids of panels and queries, and every selector's matchers."""
    numbers = count(1)
    for panel in panels:
        panel["id"] = next(numbers)
        for name, target in zip(ascii_uppercase, panel.get("targets", ()), strict=False):
            target["refId"] = name
            target["expr"] = scoped(target["expr"], matchers)
