"""What all panels share, and the numbers at the top; every panel says what it shows, and when it is off."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, prometheus, stat
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
FILLING_PERCENT: Final[Steps] = [(None, "green"), (80, "orange"), (95, "red")]

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


GREY: Final = "#8e8e8e"
"""For what is off, and what does not happen: readable on black and on white, and neither good nor bad."""


def headline(
    title: str, description: str, expression: str, *, source: str, unit: str = "none", steps: Steps
) -> stat.Panel:
    """One number at the top of a dashboard, coloured by how bad it is."""
    short = OFF[source].split(":")[0]
    off = models.SpecialValueMap(
        options=models.DashboardSpecialValueMapOptions(
            match=models.SpecialValueMatch.NULL, result=models.ValueMappingResult(text=short, color=GREY)
        )
    )
    decimals = 1 if unit == "s" else 0
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
        .mappings([off])  # else it would have the colour of a good 0
        .thresholds(thresholds(steps))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .justify_mode(common_models.BigValueJustifyMode.CENTER)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(instant(expression).legend_format(title))
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
