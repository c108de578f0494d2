"""Families as Prometheus text or OpenMetrics."""

import operator
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple

from prometheus_client.utils import floatToGoString

from exporter.exposition.families import Family, Metric
from exporter.exposition.gzipped import Part

# How a template writes a value. Of a ratio, nine digits are more than it is good for, and take a quarter of the time of
# all seventeen; other values are whole numbers, or texts by then.
_RATIO: Final = "%.9g"
_OTHER: Final = "%s"


class _Kept(NamedTuple):
    """What is kept of a family from scrape to scrape: its template while values change, its samples while they do not.

    Never both: on a host with 32,000 queues each of them takes ten megabytes.
    """

    columns: Sequence[Sequence[str]]
    values: Sequence[float]
    template: str | None
    samples: Part | None


class Renderer:
    """Writes families as text: one `%` for each, over a template that is kept from scrape to scrape.

    A template holds all of a family's text but the values, so it serves until the label columns change; a collector
    that hands in the same column objects again gets the same template again, without a look into them. A family whose
    values are those of the last scrape, too, is not rendered again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def render(self, family: Family, *, openmetrics: bool) -> list[Part]:
        """Return the family's HELP and TYPE lines and its samples; nothing at all if it has no samples."""
        if not family.values:
            self._kept.pop(family.metric.name, None)
            return []
        return [_head(family.metric, openmetrics=openmetrics), self._samples(family)]

    def _samples(self, family: Family) -> Part:
        metric, values, columns = family
        kept = self._kept.get(metric.name)
        unchanged, template = False, None
        if kept and len(kept.columns) == len(columns) and all(map(operator.is_, kept.columns, columns)):
            unchanged = kept.values == values
            if unchanged and kept.samples is not None:
                return kept.samples
            template = kept.template
        number = _RATIO if metric.unit == "ratio" else _OTHER
        template = template or _template(metric, number, len(values), columns)
        samples = Part((template % tuple(_numbers(number, values))).encode())
        self._kept[metric.name] = _Kept(
            columns, values, None if unchanged else template, samples if unchanged else None
        )
        return samples


def _numbers(number: str, values: Sequence[float]) -> Iterable[object]:
    """Return what a template takes that writes its values by `number`."""
    if number == _RATIO or type(sum(values)) is int:  # one float among them makes the sum a float
        return values
    return map(floatToGoString, values)


def _template(metric: Metric, number: str, count: int, columns: Sequence[Sequence[str]]) -> str:
    if not columns:
        return f"{metric.name} {number}\n"
    cells: list[object] = [None] * (count * len(columns))
    for index, column in enumerate(columns):
        cells[index :: len(columns)] = _escape(column)
    labels = ",".join(f'{label}="%s"' for label in metric.labels)
    return f"{metric.name}{{{labels}}} %{number}\n" * count % tuple(cells)


@cache  # bounded: metrics are declared, never made
def _head(metric: Metric, *, openmetrics: bool) -> Part:
    title, help_text, unit = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n"), ""
    if openmetrics:
        help_text = help_text.replace('"', r"\"")
        if metric.kind == "counter":  # whose family is named without the _total that its samples carry
            title = title.removesuffix("_total")
        if metric.unit:
            unit = f"# UNIT {title} {metric.unit}\n"
    return Part(f"# HELP {title} {help_text}\n# TYPE {title} {metric.kind}\n{unit}".encode())


def _escape(cells: Sequence[str]) -> Sequence[str]:
    """Escape label values for the format and for a template, in which every % is doubled."""
    joined = "\n".join(cells)
    # The usual case: there is nothing to escape in tens of thousands of cells, and one pass shows it. As many line
    # breaks as joining put in means that no cell has one of its own.
    if joined.count("\n") == len(cells) - 1 and not any(character in joined for character in '\\"%'):
        return cells
    return [cell.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").replace("%", "%%") for cell in cells]
