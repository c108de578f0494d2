"""Samples of a page, or of a collector's families, by name and labels."""

from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors.base import Collector, PartialResultError
from exporter.collectors.snapshot import QueueSnapshot, Scrape
from exporter.exposition.pages import Format, render
from exporter.exposition.render import Renderer
from exporter.sysv.queues import NO_QUEUES


class Samples:
    """What a page says."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def get(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value; None where there is no such sample."""
        return self._values.get((name, frozenset((labels or {}).items())))

    def names(self) -> set[str]:
        """Of all samples."""
        return {name for name, _ in self._values}

    def label_values(self, name: str, label: str) -> set[str]:
        """All values that a label has on samples of that name."""
        return {dict(labels).get(label, "") for each, labels in self._values if each == name}


def scrape() -> Scrape:
    """Return a scrape of a host without queues, for collectors that read none."""
    return Scrape(lambda: QueueSnapshot(NO_QUEUES, NO_QUEUES, (), 0, 0))


def collected(collectors: Iterable[Collector]) -> Samples:
    """What these collectors say now, through the real renderer; a fault's families included."""
    families = []
    for collector in collectors:
        try:
            families += list(collector.collect(scrape()))
        except PartialResultError as fault:
            families += list(fault.families)
    return Samples(b"".join(render(families, Format.TEXT, Renderer())).decode())
