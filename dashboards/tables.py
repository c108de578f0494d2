"""Tables: one row per host, queue, server or alert, one query per column."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.panels import BAD, DATASOURCE, FILLING, GREY, WARNING, WHERE_FROM, Steps, instant
from dashboards.queries import NOT_KNOWN

CLEAR: Final = "transparent"
CALM: Final[Steps] = [(None, CLEAR)]
CELL_BAD: Final[Steps] = [(None, CLEAR), (0.5, BAD)]
CELL_WARNING: Final[Steps] = [(None, CLEAR), (0.5, WARNING)]
"""Cells that stand out from a table of zeros by their background: from 0.5 on, because increase() estimates."""

CELL_FILLING: Final[Steps] = [(None, CLEAR), *FILLING[1:]]


_SHORT: Final = {"instance": "^(.*):10049$", "alertname": "^OpenvpnMq(.*)$"}
"""The part of a key that is shown, by label; links have all of it."""

_WIDTHS: Final = {"alertname": 182, "severity": 68, "queue": 100, "cluster": 75}
"""Of keys whose length is known, in pixels; the others share what the columns leave of a table at 1280."""


_WRAPPED: Final = {"what"}
"""Keys of several words that may be longer than their column, and then take a second line."""


class Column(NamedTuple):
    """A column of a table: a query of its own, grouped by the table's keys."""

    name: str
    expression: str
    unit: str = "none"
    steps: Steps = ()
    gauge: bool = False
    width: int | None = None
    decimals: int | None = None
    texts: Mapping[float, tuple[str, str]] = {}
    """Words and colours for certain values."""
    beyond: Sequence[tuple[float, str, str]] = ()
    """From which value on a word takes its place, and in which colour; the highest value first."""


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
    links: Mapping[str, Sequence[tuple[str, str]]] = {},
    nothing: str = "off",
    ascending: bool = False,
    words: Mapping[str, Mapping[str, str]] = {},
) -> table.Panel:
    """Return a table: one row per combination of the keys (label to heading), the highest in column `sort` first,
    and those alike in the order of their keys.

    `links` maps a heading to the titles and addresses that its cells lead to. `nothing` is the text of a cell for
    which its query has no value. `words` maps a key's heading to the colours of its cells, by their text.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .unit("none")
        .no_value(WHERE_FROM[source])
        .cell_height(common_models.TableCellHeight.SM)
    )
    names = {f"Value #{chr(ord('A') + number)}": column.name for number, column in enumerate(columns)}
    if len(columns) == 1:  # Grafana numbers the values only if there are several
        names = {"Value": columns[0].name}
    renamed = {**keys, **names}
    for column in columns:
        panel.with_target(instant(column.expression).format(PromQueryFormat.TABLE))
        panel.override_by_name(column.name, _cell(column, nothing))
    for label, heading in keys.items():
        panel.override_by_name(heading, _properties(_key(label, words.get(heading, {}))))
    for heading, pairs in links.items():
        shown = [{"title": text, "url": address} for text, address in pairs]
        panel.override_by_name(heading, _properties({"links": shown}))
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
            # One after the other, so that the last decides. Prometheus answers in any order, and rows that are alike
            # in column `sort` would jump at each refresh.
            *(_sorted_by(heading) for heading in reversed([*keys.values()]) if heading != sort),
            _sorted_by(sort, descending=not ascending),
        ]
    )


def _sorted_by(heading: str, *, descending: bool = False) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(
        "sortBy", options={"fields": {}, "sort": [{"field": heading, "desc": descending}]}
    )


def address(uid: str, **variables: str) -> str:
    """Return where a cell leads to: another dashboard, with this one's data source, job and time range."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    kept = "${datasource:queryparam}&${cluster:queryparam}&${job:queryparam}&${__url_time_range}"
    return f"/d/{uid}?{kept}{chosen}"


def _properties(values: Mapping[str, object]) -> list[models.DynamicConfigValue]:
    return [models.DynamicConfigValue(name, value) for name, value in values.items()]


def _key(label: str, words: Mapping[str, str]) -> dict[str, object]:
    # Without the unit, a key such as 0x4f560001 is shown as a number.
    values: dict[str, object] = {"unit": "string", "noValue": " ", "custom.minWidth": 80}
    if label in _WIDTHS:
        values["custom.width"] = _WIDTHS[label]
    if label in _WRAPPED:
        values["custom.wrapText"] = True
    if label in _SHORT:
        result = {"text": "$1", "index": 0}
        values["mappings"] = [{"type": "regex", "options": {"pattern": _SHORT[label], "result": result}}]
    if words:
        options = {text: {"text": text, "color": colour, "index": 0} for text, colour in words.items()}
        values["mappings"] = [{"type": "value", "options": options}]
        values["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    return values


def _cell(column: Column, nothing: str) -> list[models.DynamicConfigValue]:
    values: dict[str, object] = {"unit": column.unit, "noValue": nothing}
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.width:
        values["custom.width"] = column.width
    steps = column.steps or CALM
    words = {NOT_KNOWN: ("unknown", CLEAR if steps[0][1] == CLEAR else GREY), **column.texts}
    options = {
        str(value): {"text": text, "color": colour, "index": place}
        for place, (value, (text, colour)) in enumerate(words.items())
    }
    mappings: list[object] = [{"type": "value", "options": options}]
    for place, (least, text, colour) in enumerate(column.beyond):
        result = {"text": text, "color": colour, "index": len(words) + place}
        mappings.append({"type": "range", "options": {"from": least, "to": None, "result": result}})
    values["mappings"] = mappings
    values["thresholds"] = {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }
    values["color"] = {"mode": "thresholds"}
    values["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    if column.gauge:
        values |= {"min": 0, "max": 1, "custom.cellOptions": {"type": "gauge", "mode": "basic"}}
    return _properties(values)
