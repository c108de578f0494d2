"""Families as Prometheus text or OpenMetrics."""

import operator
from collections.abc import Sequence

from prometheus_client.utils import floatToGoString

from exporter.exposition.families import Family, Metric


class Renderer:
    """Writes families as text: one `%` for each, over a template that is kept from scrape to scrape.

    A template holds all of a family's text but the values, so it serves until the label columns change; a collector
    that hands in the same column objects again gets the same template again, without a look into them.
    """

    def __init__(self) -> None:
        self._templates: dict[str, tuple[Sequence[Sequence[str]], str]] = {}

    def render(self, family: Family, *, openmetrics: bool) -> bytes:
        """The family's HELP and TYPE lines and its samples; nothing at all where it has no samples."""
        metric, values, columns = family
        if not values:
            self._templates.pop(metric.name, None)
            return b""
        whole = type(sum(values)) is int  # one float among them makes the sum a float
        numbers = tuple(values if whole else map(floatToGoString, values))
        return (
            _head(metric, openmetrics=openmetrics) + self._template(metric, len(values), columns) % numbers
        ).encode()

    def _template(self, metric: Metric, count: int, columns: Sequence[Sequence[str]]) -> str:
        if not columns:
            return f"{metric.name} %s\n"
        known = self._templates.get(metric.name)
        if known and len(known[0]) == len(columns) and all(map(operator.is_, known[0], columns)):
            return known[1]
        cells: list[object] = [None] * (count * len(columns))
        for place, column in enumerate(columns):
            cells[place :: len(columns)] = _escape(column)
        labels = ",".join(f'{label}="%s"' for label in metric.labels)
        template = f"{metric.name}{{{labels}}} %%s\n" * count % tuple(cells)
        self._templates[metric.name] = (columns, template)
        return template


def _head(metric: Metric, *, openmetrics: bool) -> str:
    title, help_text = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        help_text = help_text.replace('"', r"\"")
        if metric.kind == "counter":  # whose family is named without the _total that its samples carry
            title = title.removesuffix("_total")
    return f"# HELP {title} {help_text}\n# TYPE {title} {metric.kind}\n"


def _escape(cells: Sequence[str]) -> Sequence[str]:
    """Label values as the format wants them, and as a template: with every % doubled."""
    joined = "\n".join(cells)
    if joined.count("\n") < len(cells) and not any(character in joined for character in '\\"%'):
        return cells  # the usual case: nothing to escape in tens of thousands of cells, seen in one pass
    return [cell.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").replace("%", "%%") for cell in cells]
