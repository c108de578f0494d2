"""Metric descriptions, wide families, and their rendering as Prometheus text or OpenMetrics.

prometheus_client holds the counters and histograms that live on between scrapes, and renders them. What is read
anew at every scrape, with a series for every queue, is a `Family`: columns instead of sample objects, rendered
by one `%` over a repeated template, which costs a tenth of a microsecond a sample instead of six.
"""

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
    """All samples of one metric at one moment, as columns."""

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


def _escape_column(cells: Sequence[str]) -> Sequence[str]:
    joined = "\n".join(cells)
    if "\\" not in joined and '"' not in joined and joined.count("\n") < len(cells):
        return cells  # the usual case: nothing to escape in tens of thousands of cells, seen in one pass
    return [cell.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for cell in cells]


def render_family(family: Family, *, openmetrics: bool) -> bytes:
    """The family's HELP and TYPE lines and its samples; nothing at all where it has no samples."""
    metric, values, columns = family
    count = len(values)
    if count == 0:
        return b""
    name = metric.name
    # In OpenMetrics a counter's family is named without the _total that its samples carry.
    title = name.removesuffix("_total") if openmetrics and metric.kind == "counter" else name
    help_text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        help_text = help_text.replace('"', r"\"")
    head = f"# HELP {title} {help_text}\n# TYPE {title} {metric.kind}\n"

    width = len(columns) + 1
    cells: list[object] = [None] * (count * width)
    for place, column in enumerate(columns):
        cells[place::width] = _escape_column(column)
    whole = set(map(type, values)) == {int}
    cells[width - 1 :: width] = values if whole else map(floatToGoString, values)
    labels = ",".join(f'{label}="%s"' for label in metric.labels)
    template = f"{name}{{{labels}}} %s\n" if labels else f"{name} %s\n"
    return (head + (template * count) % tuple(cells)).encode()


class ClientMetrics(ClientCollector):
    """Hands a list of prometheus_client's metrics to prometheus_client's encoders."""

    def __init__(self, metrics: Iterable[ClientMetric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[ClientMetric]:
        """Called by the encoder, once."""
        return self._metrics
