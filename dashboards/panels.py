"""The kinds of panels that the dashboards are made of, each with what a reader needs: title, description, unit."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value (None: from the bottom) which colour."""

NEUTRAL: Final[Steps] = [(None, "blue")]
ZERO_IS_GOOD: Final[Steps] = [(None, "green"), (1, "red")]
ZERO_IS_BETTER: Final[Steps] = [(None, "green"), (1, "orange")]
FILLING: Final[Steps] = [(None, "green"), (0.8, "orange"), (0.95, "red")]

_OFF: Final = {
    "queues": "no queue here",
    "limits": "collector limits is off",
    "waiters": "not enabled: collector waiters",
    "trace": "not enabled: collector trace (--collector.trace)",
    "log": "not enabled: no server has a log",
    "hooks": "not enabled: no server has a hook record",
    "management": "not enabled: no server has a management address",
    "status": "not enabled: no server has a status file",
    "clients": "not enabled: no server has a management address or a status file",
    "rules": "no log_rules in the configuration",
    "exporter": "no exporter here",
}
"""What a panel says instead of nothing, by where its data come from."""


class Query(NamedTuple):
    """A query of a graph, and the name of its series."""

    expression: str
    legend: str


class Column(NamedTuple):
    """A column of a table that is a query of its own, grouped by the table's key."""

    name: str
    expression: str
    unit: str = "short"
    steps: Steps = ()
    gauge: bool = False
    width: int | None = None
    decimals: int | None = None
    texts: Mapping[float, tuple[str, str]] = {}
    """Words and colours for certain values."""


def headline(
    title: str, description: str, expression: str, *, source: str, unit: str = "short", steps: Steps, width: int = 3
) -> stat.Panel:
    """One number at the top of a dashboard, coloured by how bad it is."""
    short = _OFF[source].split(":")[0]
    decimals = {"none": 0, "short": 0, "percentunit": 1, "s": 1}[unit]
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(4)
        .unit(unit)
        .decimals(decimals)
        .no_value(short)
        .thresholds(thresholds(steps))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .justify_mode(common_models.BigValueJustifyMode.CENTER)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_instant(expression).legend_format(title))
    )


def graph(
    title: str,
    description: str,
    *queries: Query,
    source: str,
    unit: str,
    width: int = 8,
    steps: Steps = (),
    bars: bool = False,
    most: float | None = None,
    mirrored: str | None = None,
) -> timeseries.Panel:
    """Lines over time (bars where the values are events); `mirrored` is the legend's pattern of what points down."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .no_value(_OFF[source])
        .line_width(1)
        .fill_opacity(60 if bars else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    )
    if mirrored:
        panel.override_by_regexp(mirrored, [models.DynamicConfigValue("custom.transform", "negative-Y")])
    else:
        panel.min(0)
    if most is not None:
        panel.axis_soft_max(most)
    if bars:
        panel.draw_style(common_models.GraphDrawStyle.BARS).stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        )
    if steps:
        panel.thresholds(thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    for query in queries:
        panel.with_target(prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range().datasource(DATASOURCE))
    return panel


def ranking(
    title: str, description: str, query: Query, *, source: str, unit: str, steps: Steps, width: int, most: float
) -> bargauge.Panel:
    """Bars, one a series, the way the query sorts them."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .decimals(0)
        .min(0)
        .max(most)
        .no_value(_OFF[source])
        .thresholds(thresholds(steps))
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_instant(query.expression).legend_format(query.legend))
    )


def rows(
    title: str,
    description: str,
    keys: Mapping[str, str],
    columns: Sequence[Column],
    *,
    source: str,
    sort: str,
    height: int,
    width: int = 24,
    links: Mapping[str, tuple[str, str]] = {},
    hidden: Sequence[str] = (),
) -> table.Panel:
    """A table: one row for each combination of the keys (label to heading), the worst by column `sort` first.

    `links` maps a heading to the title and the address that its cells lead to.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .unit("short")
        .cell_height(common_models.TableCellHeight.SM)
    )
    names = {f"Value #{chr(ord('A') + number)}": column.name for number, column in enumerate(columns)}
    if len(columns) == 1:  # Grafana numbers the values only where there are several
        names = {"Value": columns[0].name}
    renamed = {**keys, **names}
    for column in columns:
        panel.with_target(_instant(column.expression).format(PromQueryFormat.TABLE))
        panel.override_by_name(column.name, _cell(column))
    for heading, (label, address) in links.items():
        link = {"title": label, "url": address}
        panel.override_by_name(heading, [models.DynamicConfigValue("links", [link])])
    return panel.transformations(
        [
            models.DataTransformerConfig("merge", options={}),
            models.DataTransformerConfig(
                "organize",
                options={
                    "excludeByName": dict.fromkeys(["Time", *hidden], True),
                    "indexByName": {name: place for place, name in enumerate(renamed)},
                    "renameByName": renamed,
                },
            ),
            models.DataTransformerConfig("sortBy", options={"fields": {}, "sort": [{"field": sort, "desc": True}]}),
        ]
    ).no_value(_OFF[source] if len(columns) == 1 else "-")


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Absolute ones."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _instant(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).instant().datasource(DATASOURCE)


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    values: dict[str, object] = {"unit": column.unit}
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.width:
        values["custom.width"] = column.width
    if column.texts:
        options = {
            str(value): {"text": text, "color": colour, "index": place}
            for place, (value, (text, colour)) in enumerate(column.texts.items())
        }
        values["mappings"] = [{"type": "value", "options": options}]
        values["custom.cellOptions"] = {"type": "color-text"}
    if column.steps:
        values["thresholds"] = {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in column.steps],
        }
        values["color"] = {"mode": "thresholds"}
        values["custom.cellOptions"] = {"type": "color-text"}
    if column.gauge:
        values |= {"min": 0, "max": 1, "custom.cellOptions": {"type": "gauge", "mode": "basic"}}
    return [models.DynamicConfigValue(name, value) for name, value in values.items()]
