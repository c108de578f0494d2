"""Tables: a row for each host, queue or server, a query for each column."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.panels import DATASOURCE, OFF, Steps, instant

FILLED: Final[Steps] = [(None, "transparent")]
LOST: Final[Steps] = [(None, "transparent"), (0.5, "semi-dark-red")]
NOTED: Final[Steps] = [(None, "transparent"), (0.5, "dark-orange")]
"""Cells that stand out from a table of zeros by their background, dark enough for white words: those of certain words,
or from 0.5 on, because increase() estimates."""

DOWN: Final = 100
"""What makes a host that is down come before all that have troubles: more than there are kinds of trouble."""


class Column(NamedTuple):
    """A column of a table that is a query of its own, grouped by the table's key."""

    name: str
    expression: str
    unit: str = "none"
    steps: Steps = ()
    gauge: bool = False
    width: int | None = None
    decimals: int | None = None
    texts: Mapping[float, tuple[str, str]] = {}
    """Words and colours for certain values."""
    beyond: tuple[float, str, str] | None = None
    """From which value on a word stands in its place, and in which colour."""


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
    nothing: str = "-",
    ascending: bool = False,
) -> table.Panel:
    """A table: one row for each combination of the keys (label to heading), the highest in column `sort` first.

    `links` maps a heading to the title and the address that its cells lead to. `nothing` is what a cell says where
    its query knows nothing of the row.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .unit("none")
        .no_value(OFF[source])
        .cell_height(common_models.TableCellHeight.SM)
    )
    names = {f"Value #{chr(ord('A') + number)}": column.name for number, column in enumerate(columns)}
    if len(columns) == 1:  # Grafana numbers the values only where there are several
        names = {"Value": columns[0].name}
    renamed = {**keys, **names}
    for column in columns:
        panel.with_target(instant(column.expression).format(PromQueryFormat.TABLE))
        panel.override_by_name(column.name, _cell(column, nothing))
    for heading in keys.values():  # without that unit, a key such as 0x4f560001 is shown as a number
        properties = {"unit": "string", "custom.minWidth": 100}
        panel.override_by_name(heading, [models.DynamicConfigValue(*item) for item in properties.items()])
    for heading, (label, address) in links.items():
        link = {"title": label, "url": address}
        panel.override_by_name(heading, [models.DynamicConfigValue("links", [link])])
    return panel.transformations(
        [
            models.DataTransformerConfig("merge", options={}),
            models.DataTransformerConfig(
                "organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate(renamed)},
                    "renameByName": renamed,
                },
            ),
            models.DataTransformerConfig(
                "sortBy", options={"fields": {}, "sort": [{"field": sort, "desc": not ascending}]}
            ),
        ]
    )


def address(uid: str, **variables: str) -> str:
    """Where a cell leads to: another dashboard, with this one's data source, job and time range."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return f"/d/{uid}?${{datasource:queryparam}}&${{job:queryparam}}&${{__url_time_range}}{chosen}"


def _cell(column: Column, nothing: str) -> list[models.DynamicConfigValue]:
    values: dict[str, object] = {"unit": column.unit, "noValue": nothing}
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.width:
        values["custom.width"] = column.width
    mappings: list[object] = []
    if column.texts:
        options = {
            str(value): {"text": text, "color": colour, "index": place}
            for place, (value, (text, colour)) in enumerate(column.texts.items())
        }
        mappings.append({"type": "value", "options": options})
    if column.beyond:
        least, text, colour = column.beyond
        result = {"text": text, "color": colour, "index": len(column.texts)}
        mappings.append({"type": "range", "options": {"from": least, "to": None, "result": result}})
    if mappings:
        values["mappings"] = mappings
        values["custom.cellOptions"] = {"type": "color-text"}
    steps = column.steps or ([(None, "text")] if mappings else [])  # else the words' neighbours would be grey
    if steps:
        values["thresholds"] = {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in steps],
        }
        values["color"] = {"mode": "thresholds"}
        values["custom.cellOptions"] = {"type": "color-text"}
        if steps[0][1] == "transparent":
            values["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    if column.gauge:
        values |= {"min": 0, "max": 1, "custom.cellOptions": {"type": "gauge", "mode": "basic"}}
    return [models.DynamicConfigValue(name, value) for name, value in values.items()]
