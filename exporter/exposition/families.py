"""Metric descriptions, and wide families: all samples of a metric as columns.

prometheus_client holds the counters and histograms that live on between scrapes, and renders them. What is read
anew at every scrape, with a series for every queue, is a `Family`: columns instead of sample objects, which render.py
writes by one `%` for all samples; that takes a twentieth of a microsecond per sample instead of six.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client import Metric as LibraryMetric
from prometheus_client.registry import Collector as ClientCollector

disable_created_metrics()  # a _created series for each counter doubles the page

Kind = Literal["gauge", "counter", "histogram"]

_UNITS: Final = frozenset({"seconds", "bytes", "ratio"})


class Metric(NamedTuple):
    """The description of one metric: declared once, by the collector that exports it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit at the end of the name, for OpenMetrics' # UNIT; empty if there is none."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in _UNITS else ""

    def family(self, values: Sequence[float], *columns: Sequence[str]) -> "Family":
        """Return a sample per value; `columns` are the label values in the order of `labels`, as long as `values`."""
        if len(columns) != len(self.labels):
            raise ValueError(f"{self.name} has {len(self.labels)} labels, was given {len(columns)}")
        return Family(self, values, columns)

    def by_label(self, values: Mapping[str, float | None]) -> "Family":
        """Return a sample per value of the metric's only label; none where the number is not known."""
        known = {label: value for label, value in values.items() if value is not None}
        return self.family(list(known.values()), list(known))

    def counter(self) -> Counter:
        """Return a counter of prometheus_client that lives on between scrapes."""
        return Counter(self.name, self.help, self.labels, unit=self.unit, registry=None)

    def gauge(self) -> Gauge:
        """Return a gauge of prometheus_client, for what goes up and down between scrapes."""
        return Gauge(self.name, self.help, self.labels, unit=self.unit, registry=None)

    def histogram(self, buckets: Sequence[float]) -> Histogram:
        """Return a histogram of prometheus_client; buckets are upper bounds in the metric's unit, +Inf is added."""
        return Histogram(self.name, self.help, self.labels, unit=self.unit, buckets=buckets, registry=None)


class Family(NamedTuple):
    """All samples of one metric at one moment, as columns. A column is never changed once it is handed over."""

    metric: Metric
    values: Sequence[float]
    columns: Sequence[Sequence[str]]


def merged(families: Iterable[Family]) -> Iterable[Family]:
    """Join families of one metric: a page may not come back to a metric, and two collectors can share one."""
    by_metric: dict[Metric, Family] = {}
    for family in families:
        other = by_metric.get(family.metric)
        by_metric[family.metric] = _joined(other, family) if other else family
    return by_metric.values()


def _joined(one: Family, other: Family) -> Family:
    columns = [[*left, *right] for left, right in zip(one.columns, other.columns, strict=True)]
    return Family(one.metric, [*one.values, *other.values], columns)


class ClientMetrics(ClientCollector):
    """Hands a list of prometheus_client's metrics to prometheus_client's encoders."""

    def __init__(self, metrics: Iterable[LibraryMetric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[LibraryMetric]:
        """Return the metrics; the encoder calls this once."""
        return self._metrics
