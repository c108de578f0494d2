"""Graphs over time: few lines, in colours that mean something, with a legend that hides none of them."""

from string import ascii_uppercase
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common, prometheus, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import DATASOURCE, GREY, OFF, Steps, thresholds

PER_MINUTE: Final = "suffix:/min"
"""A unit for whatever is counted: Grafana's own say `c/m`, `ops/m`, `evts/m`."""

SHORT_NAMES: Final = models.DataTransformerConfig(
    "renameByRegex", options={"regex": r"/^(.*?)(:10049|[\s@]+)$/", "renamePattern": "$1"}
)
"""Leaves the exporter's own port out of legends, which then have room for twice the names; and a host that is none."""

NOTHING: Final = "/(^| )none$/"
"""The series that queries.busiest() answers with where nothing happens, by its legend."""

NEUTRAL_COLOUR: Final = "blue"


class Query(NamedTuple):
    """A query of a graph, the name of its series, and the colour whose shades they have.

    Red and orange are for what is lost or late: Grafana's palette would give them to the fourth and fifth of some
    healthy hosts. Shades are hard to tell apart, so that a graph's only query has a scale in their place: from blue to
    purple, or from yellow to red, the higher a line rises, in the order of the legend.
    """

    expression: str
    legend: str
    colour: str = NEUTRAL_COLOUR


def graph(
    title: str,
    description: str,
    *queries: Query,
    source: str,
    unit: str,
    width: int = 12,
    steps: Steps = (),
    bars: bool = False,
    most: float | None = None,
    mirrored: bool = False,
    sparse: bool = False,
) -> timeseries.Panel:
    """Lines over time; bars where the values are events.

    `steps` colour the lines by what they have reached, in place of their query's colour. `mirrored`: some values
    point down, so that the axis must not start at 0. `sparse`: values may stand alone, and are then drawn as points.
    """
    calculation, heading = ("lastNotNull", "Last *") if mirrored else ("max", "Max")
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .no_value(OFF[source])
        .line_width(1)
        .fill_opacity(60 if bars else 0)
        .show_points(common_models.VisibilityMode.AUTO if sparse else common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs([calculation])
            .sort_by(heading)
            .sort_desc(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .transformations([SHORT_NAMES])
    )
    if not mirrored:
        panel.min(0)
    if unit in {"none", "percent"}:  # not percentunit, of which an axis would be left with 0 and 100 %
        panel.decimals(0)
    if most is not None:
        panel.axis_soft_max(most)
    if bars:
        panel.axis_soft_max(1).draw_style(common_models.GraphDrawStyle.BARS).stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        )
    if steps:
        panel.thresholds(thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
        panel.color_scheme(_by_highest(models.FieldColorModeId.THRESHOLDS))
        panel.gradient_mode(common_models.GraphGradientMode.SCHEME)
    elif len(queries) == 1:
        neutral = queries[0].colour == NEUTRAL_COLOUR
        mode = models.FieldColorModeId.CONTINUOUS_BL_PU if neutral else models.FieldColorModeId.CONTINUOUS_YL_RD
        panel.color_scheme(_by_highest(mode))
    else:
        panel.color_scheme(_shades(queries[0].colour))
    for number, query in enumerate(queries):
        panel.with_target(
            prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range().datasource(DATASOURCE)
        )
        if number:
            panel.override_by_query(ascii_uppercase[number], [_value("color", _shades(query.colour).build())])
    grey = builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(GREY)
    panel.override_by_regexp(NOTHING, [_value("color", grey.build())])
    return panel


def _by_highest(mode: models.FieldColorModeId) -> builders.FieldColor:
    return builders.FieldColor().mode(mode).series_by(models.FieldColorSeriesByMode.MAX)


def _shades(colour: str) -> builders.FieldColor:
    return builders.FieldColor().mode(models.FieldColorModeId.SHADES).fixed_color(colour)


def _value(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(name, value)
