"""Metric descriptions, wide families, and their rendering as Prometheus text or OpenMetrics.

prometheus_client holds the counters and histograms that live on between scrapes, and renders them. What is read
anew at every scrape, with a series for every queue, is a `Family`: columns instead of sample objects, rendered
by one `%` for all samples, which costs a twentieth of a microsecond a sample instead of six.
"""

import operator
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client import Metric as ClientMetric
from prometheus_client.registry import Collector as ClientCollector
from prometheus_client.utils import floatToGoString

disable_created_metrics()  # type: ignore[no-untyped-call]  # a _created series for each counter doubles the page

Kind = Literal["gauge", "counter", "histogram"]


class Metric(NamedTuple):
    """What one metric is: declared once, at the top of the collector that exports it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def family(self, values: Sequence[float], *columns: Sequence[str]) -> "Family":
        """One sample a value; `columns` are the label values, in the order of `labels`, each as long as `values`."""
        if len(columns) != len(self.labels):
            raise ValueError(f"{self.name} has {len(self.labels)} labels, was given {len(columns)}")
        return Family(self, values, columns)

    def counter(self) -> Counter:
        """A counter of prometheus_client that lives on between scrapes."""
        return Counter(self.name, self.help, self.labels, registry=None)

    def gauge(self) -> Gauge:
        """A gauge of prometheus_client, for what goes up and down between scrapes."""
        return Gauge(self.name, self.help, self.labels, registry=None)

    def histogram(self, buckets: Sequence[float]) -> Histogram:
        """A histogram of prometheus_client; buckets are upper bounds in the metric's unit, +Inf added."""
        return Histogram(self.name, self.help, self.labels, buckets=buckets, registry=None)


class Family(NamedTuple):
    """All samples of one metric at one moment, as columns. A column is never changed once it is handed over."""

    metric: Metric
    values: Sequence[float]
    columns: Sequence[Sequence[str]]


def merged(families: Iterable[Family]) -> Iterable[Family]:
    """The same samples, each metric once: a page may not come back to a metric, and two collectors can share one."""
    by_metric: dict[Metric, Family] = {}
    for family in families:
        other = by_metric.get(family.metric)
        by_metric[family.metric] = _joined(other, family) if other else family
    return by_metric.values()


def _joined(one: Family, other: Family) -> Family:
    columns = [[*left, *right] for left, right in zip(one.columns, other.columns, strict=True)]
    return Family(one.metric, [*one.values, *other.values], columns)


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


class ClientMetrics(ClientCollector):
    """Hands a list of prometheus_client's metrics to prometheus_client's encoders."""

    def __init__(self, metrics: Iterable[ClientMetric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[ClientMetric]:
        """Called by the encoder, once."""
        return self._metrics
