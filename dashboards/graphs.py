"""Graphs over time: few lines, a colour per line, thresholds as dashed lines, the legend below the plot."""

from string import ascii_uppercase
from typing import Final, Literal, NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, prometheus, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import DATASOURCE, GREY, NEUTRAL, WHERE_FROM, Steps, instant, thresholds

PER_MINUTE: Final = "suffix:/min"
"""The unit of what is counted: Grafana's own say `c/m`, `ops/m`, `evts/m`."""

CLOCK: Final = "dtdhms"
"""The unit of seconds that go on for minutes and days, written as 1 d 02:03:04; `s` has ticks such as 1.67 mins."""

SHORT_NAMES: Final = models.DataTransformerConfig(
    "renameByRegex", options={"regex": r"/(:10049\b|[\s@]+(\(\))?$)/g", "renamePattern": ""}
)
"""Leaves out of legends the exporter's own port, and what surrounds a label that a series does not have."""

_LEAST: Final = {"s": 0.001, CLOCK: 60, "percentunit": 0.1}
"""How high an axis reaches at least, by unit: over a line at 0, Grafana's own would reach 100, a minute or 10,000 %."""

NOTHING: Final = "/(^| )none( |$)/"
"""The series that queries.busiest() answers with where nothing happens, by its legend."""


class Query(NamedTuple):
    """A query of a graph, the name of its series, and what tells them from those of the graph's other queries."""

    expression: str
    legend: str
    style: Literal["solid", "dashed", "below"] = "solid"


def graph(
    title: str,
    description: str,
    *queries: Query,
    source: str,
    unit: str,
    width: int = 12,
    height: int = 9,
    steps: Steps = (),
    bars: bool = False,
    stacked: bool = False,
    most: float | None = None,
    sparse: bool = False,
) -> timeseries.Panel:
    """Return lines over time, or bars for events.

    `steps` are drawn as dashed lines. `most` is how high the axis reaches at least. `sparse`: values may stand alone,
    and are then drawn as points.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .unit(unit)
        .no_value(WHERE_FROM[source])
        .line_width(2)
        .fill_opacity(60 if bars else 30 if stacked else 0)
        .show_points(common_models.VisibilityMode.AUTO if sparse else common_models.VisibilityMode.NEVER)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])  # half of the names would not fit
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .transformations([SHORT_NAMES])
    )
    if unit in {"none", "percent"}:  # not percentunit, of which an axis would be left with 0 and 100 %
        panel.decimals(0)
    least = most if most is not None else _LEAST.get(unit)
    if least is not None:
        panel.axis_soft_max(least)
    if bars:
        panel.axis_soft_max(1).draw_style(common_models.GraphDrawStyle.BARS)
    if bars or stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if steps:
        panel.thresholds(thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    if all(query.style != "below" for query in queries):
        panel.min(0)
    for name, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(
            prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range().datasource(DATASOURCE)
        )
        if query.style == "below":  # only drawn so: the legend and the tooltip have the value itself
            panel.override_by_query(name, [_value("custom.transform", "negative-Y")])
        if query.style == "dashed":
            panel.override_by_query(name, [_value("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})])
    grey = builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(GREY)
    panel.override_by_regexp(NOTHING, [_value("color", grey.build())])
    return panel


def funnel(
    title: str, description: str, steps: dict[str, str], *, source: str, width: int, height: int = 9
) -> bargauge.Panel:
    """Return bars one below the other, one per step: how many got as far, in the time range."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .unit("none")
        .decimals(0)
        .min(0)
        .no_value(WHERE_FROM[source])
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .thresholds(thresholds([(None, NEUTRAL)]))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for name, expression in steps.items():
        panel.with_target(instant(expression).legend_format(name))
    return panel


def _value(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(name, value)
