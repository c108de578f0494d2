"""What all panels share: the data source, colours for states, and the tiles at the top of a dashboard."""

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, prometheus, stat
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards.queries import NOT_KNOWN, OFF

DATASOURCE: Final = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value (None: from the bottom) which colour."""

GOOD: Final = "#1d6f8c"
WARNING: Final = "#c46a00"
BAD: Final = "#d1193e"
NEUTRAL: Final = "#4a5a6e"
GREY: Final = "#808080"
"""Colours of states, dark enough for white words; a test computes that colour-blind eyes tell them apart. BAD is what
an alert of severity critical means, WARNING what one of severity warning means; GREY is for what is not known."""

PLAIN: Final[Steps] = [(None, NEUTRAL)]
ZERO_OR_BAD: Final[Steps] = [(None, GOOD), (0.5, BAD)]
ZERO_OR_WARNING: Final[Steps] = [(None, GOOD), (0.5, WARNING)]
FILLING: Final[Steps] = [(None, GOOD), (0.8, WARNING), (0.95, BAD)]
FILLING_PERCENT: Final[Steps] = [(None, "transparent"), (80, WARNING), (95, BAD)]

WHERE_FROM: Final = {
    "queues": "no data: no queue, or collector queues fails",
    "limits": "no data: is the collector limits on?",
    "waiters": "no data: is the collector waiters on?",
    "trace": "no data: is the collector trace on (--collector.trace)?",
    "log": "no data: has the server a log or a journal unit?",
    "scripts": "no data: is the collector scripts or hooks on, and has a script run?",
    "failures": "no data: is one of the collectors scripts, hooks, log on?",
    "updates": "no data: has the server a hook record or a log, and has a script posted an update?",
    "management": "no data: has the server a management address?",
    "status": "no data: has the server a status file?",
    "clients": "no data: has the server a management address or a status file?",
    "configured": "no data: the server is configured and not discovered, or its configuration cannot be read",
    "servers": "no data: no OpenVPN server is configured or found",
    "connections": "no data: has the server a log at verb 3, and has a client tried to connect?",
    "alerts": "none (if the alert rules are loaded)",
    "exporter": "no data: no exporter",
    "fleet": "no data: are the recording rules loaded (docs/dashboards.md)?",
}
"""What a panel says instead of nothing, by the source of its data."""

VIEW: Final = "view:"
"""Begins the address of a panel of the same dashboard, by its title, until the panels have numbers (board.py)."""


def tile(
    title: str,
    description: str,
    expression: str,
    *,
    collectors: str,
    steps: Steps,
    explained_by: str,
    unit: str = "none",
    texts: Mapping[float, str] = {},
) -> stat.Panel:
    """Return one number with its course over the time range, coloured by how bad it is.

    The number is never left over from an earlier time: if the expression has no value, the tile says `unknown` while
    one of its collectors (a regular expression) runs or a host is down, and `off` otherwise. `explained_by` is the
    title of the panel that a click leads to.
    """
    collector = f'openvpn_mq_scrape_collector_success{{collector=~"{collectors}"}}'
    fallback = f"{NOT_KNOWN} * group({collector} or up{{}} == 0) or vector({OFF})"
    words = {NOT_KNOWN: "unknown", OFF: "off"}
    special = {
        str(value): models.ValueMappingResult(text=text, color=GREY, index=index)
        for index, (value, text) in enumerate(words.items())
    }
    special |= {
        str(value): models.ValueMappingResult(text=text, index=len(special) + index)
        for index, (value, text) in enumerate(texts.items())
    }
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(4)
        .height(4)
        .unit(unit)
        .decimals(0 if unit != "s" else 1)
        .min(0)
        .no_value("no data")
        .mappings([models.ValueMap(options=special)])
        .thresholds(thresholds(steps))
        .color_mode(common_models.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .justify_mode(common_models.BigValueJustifyMode.CENTER)
        .text_mode(common_models.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .data_links([builders.DashboardLink(f"Explained by: {explained_by}").url(f"{VIEW}{explained_by}")])
        .with_target(
            prometheus.Dataquery()
            .expr(f"{expression} or {fallback}")
            .range()
            .datasource(DATASOURCE)
            .legend_format(title)
        )
    )


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Return absolute thresholds."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
    )


def instant(expression: str) -> prometheus.Dataquery:
    """Return a query of the moment at the end of the time range."""
    return prometheus.Dataquery().expr(expression).instant().datasource(DATASOURCE)
