"""The page: what was gathered, in the form that the client asked for."""

import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from prometheus_client import Metric as LibraryMetric
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.exposition.families import ClientMetrics, Family, merged
from exporter.exposition.gzipped import Part, gzipped, texts
from exporter.exposition.render import Renderer
from exporter.exposition.singleflight import SingleFlight

Gathered = Sequence[Family | LibraryMetric]

_LARGE: Final = 4096  # bytes: what is smaller is compressed together with all else that is small


class Format(Enum):
    """The two that Prometheus asks for; the value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Query(NamedTuple):
    """What a client wants on its page."""

    collectors: frozenset[str] | None = None  # None: all
    names: frozenset[str] | None = None  # of metrics; None: all
    timeout: float | None = None  # seconds until the client gives up


class _Page(NamedTuple):
    query: Query
    form: Format


class Gathering(NamedTuple):
    """What was gathered, and when (time.monotonic)."""

    items: Gathered
    at: float


def render(gathered: Iterable[Family | LibraryMetric], form: Format, renderer: Renderer) -> list[bytes]:
    """Return the page as text, in parts: joining tens of megabytes would copy them once more."""
    return texts(render_parts(gathered, form, renderer))


def render_parts(gathered: Iterable[Family | LibraryMetric], form: Format, renderer: Renderer) -> list[Part]:
    """Return the page in parts that can be compressed.

    Large families come first, as parts that stay the same while they do not change; all else is one part.
    """
    families = []
    client_metrics = []
    for item in gathered:
        if isinstance(item, Family):
            families.append(item)
        else:
            client_metrics.append(item)
    large: list[Part] = []
    small: list[bytes] = []
    for family in merged(families):
        parts = renderer.render(family, openmetrics=form is Format.OPENMETRICS)
        if sum(len(part.text) for part in parts) >= _LARGE:
            large += parts
        else:
            small += (part.text for part in parts)
    # Last, because prometheus_client's encoder ends an OpenMetrics page with its # EOF.
    encode = openmetrics.generate_latest if form is Format.OPENMETRICS else generate_latest
    return [*large, Part(b"".join([*small, encode(ClientMetrics(client_metrics))]))]


def is_named(item: Family | LibraryMetric, names: frozenset[str]) -> bool:
    """Return whether a family, or one of its samples, has one of these names."""
    if isinstance(item, Family):
        return item.metric.name in names
    return item.name in names or any(sample.name in names for sample in item.samples)


class Pages:
    """Pages on demand; clients that ask at once share one gathering, and one rendering if they ask alike."""

    def __init__(self, gather: Callable[[Query], Gathered]) -> None:
        """`gather` heeds the query's collectors and timeout; its names are seen to here."""
        self._gather = gather
        self._gathering = SingleFlight(self._gather_now)
        self._renderer = Renderer()
        self._rendered = SingleFlight(self._render)
        self._compressed = SingleFlight(self._compress)
        self._last: Gathering | None = None

    def page(self, form: Format, query: Query = Query(), *, compressed: bool) -> list[bytes]:  # noqa: B008  # immutable
        """Return the page as it is now, in parts."""
        page = _Page(query, form)
        return self._compressed.do(page) if compressed else texts(self._rendered.do(page))

    def gathered(self, max_age: float) -> Gathering:
        """Return the last whole gathering, or a new one if it is older than `max_age` seconds."""
        last = self._last
        if last is not None and time.monotonic() - last.at <= max_age:
            return last
        return self._gathering.do(Query())

    def _gather_now(self, query: Query) -> Gathering:
        gathering = Gathering(self._gather(query), time.monotonic())
        if query.collectors is None:
            self._last = gathering
        return gathering

    def _render(self, page: _Page) -> list[Part]:
        names = page.query.names
        items = self._gathering.do(page.query._replace(names=None)).items
        chosen = [item for item in items if names is None or is_named(item, names)]
        return render_parts(chosen, page.form, self._renderer)

    def _compress(self, page: _Page) -> list[bytes]:
        return gzipped(self._rendered.do(page))
