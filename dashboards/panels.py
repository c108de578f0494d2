"""The kinds of panels that the dashboards are made of, tables aside; each says what it shows, and when it is off."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

DATASOURCE: Final = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value (None: from the bottom) which colour."""

NEUTRAL: Final[Steps] = [(None, "blue")]
ZERO_IS_GOOD: Final[Steps] = [(None, "green"), (1, "red")]
ZERO_IS_BETTER: Final[Steps] = [(None, "green"), (1, "orange")]
FILLING: Final[Steps] = [(None, "green"), (0.8, "orange"), (0.95, "red")]

OFF: Final = {
    "queues": "no queue here",
    "limits": "not enabled: collector limits",
    "waiters": "not enabled: collector waiters; or no queue is here",
    "trace": "not enabled: collector trace (--collector.trace); or nothing was sent yet",
    "log": "not enabled: no server has a log",
    "hooks": "not enabled: no server has a hook record",
    "runs": "nothing yet: no server has a hook record, or no script has run",
    "updates": "nothing yet: no server has a hook record, or no script has posted an update",
    "management": "not enabled: no server has a management address",
    "status": "not enabled: no server has a status file",
    "clients": "not enabled: no server has a management address or a status file",
    "servers": "not enabled: the configuration names no server",
    "exporter": "no exporter here",
}
"""What a panel says instead of nothing, by where its data come from."""


class Query(NamedTuple):
    """A query of a graph, and the name of its series."""

    expression: str
    legend: str


def headline(
    title: str, description: str, expression: str, *, source: str, unit: str = "none", steps: Steps
) -> stat.Panel:
    """One number at the top of a dashboard, coloured by how bad it is."""
    short = OFF[source].split(":")[0]
    decimals = 0 if unit == "none" else 1
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(6)
        .height(3)
        .unit(unit)
        .decimals(decimals)
        .no_value(short)
        .thresholds(thresholds(steps))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .justify_mode(common_models.BigValueJustifyMode.CENTER)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(instant(expression).legend_format(title))
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
    mirrored: bool = False,
    sparse: bool = False,
) -> timeseries.Panel:
    """Lines over time; bars where the values are events.

    `mirrored`: some values point down, so that the axis must not start at 0. `sparse`: values may stand alone, and
    are then drawn as points.
    """
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
        .fill_opacity(60 if bars else 0 if mirrored else 8)
        .show_points(common_models.VisibilityMode.AUTO if sparse else common_models.VisibilityMode.NEVER)
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
    if not mirrored:
        panel.min(0)
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
    for query in queries:
        panel.with_target(
            prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range().datasource(DATASOURCE)
        )
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
        .no_value(OFF[source])
        .thresholds(thresholds(steps))
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(instant(query.expression).legend_format(query.legend))
    )


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Absolute ones."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
    )


def instant(expression: str) -> prometheus.Dataquery:
    """A query of the moment at the end of the time range."""
    return prometheus.Dataquery().expr(expression).instant().datasource(DATASOURCE)
