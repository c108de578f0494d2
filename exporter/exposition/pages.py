"""The page: what was gathered, in the form that the client asked for."""

from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial

from prometheus_client import Metric as LibraryMetric
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.exposition.families import ClientMetrics, Family, merged
from exporter.exposition.render import Renderer
from exporter.exposition.singleflight import SingleFlight

Gathered = Iterable[Family | LibraryMetric]


class Format(Enum):
    """The two that Prometheus asks for; the value is the content type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST


def negotiate(accept: str) -> Format:
    """The format for an Accept header, chosen as prometheus_client chooses."""
    _, content_type = choose_encoder(accept)
    return Format.OPENMETRICS if content_type.startswith("application/openmetrics-text") else Format.TEXT


def render(gathered: Gathered, form: Format, renderer: Renderer) -> list[bytes]:
    """The page, in parts: joining tens of megabytes would copy them once more."""
    families = []
    client_metrics = []
    for item in gathered:
        if isinstance(item, Family):
            families.append(item)
        else:
            client_metrics.append(item)
    parts: list[bytes] = []
    for family in merged(families):
        parts += renderer.render(family, openmetrics=form is Format.OPENMETRICS)
    # Last, because prometheus_client's encoder ends an OpenMetrics page with its # EOF.
    encode = openmetrics.generate_latest if form is Format.OPENMETRICS else generate_latest
    return [*parts, encode(ClientMetrics(client_metrics))]


class Pages:
    """Pages on demand; clients that ask at once share one gathering, and one rendering where they ask alike."""

    def __init__(self, gather: Callable[[], Gathered], compress: Callable[[list[bytes]], list[bytes]]) -> None:
        self._gathering = SingleFlight(gather)
        self._renderer = Renderer()
        self._plain = {form: SingleFlight(partial(self._render, form)) for form in Format}
        self._compressed = {form: SingleFlight(partial(self._compress, compress, form)) for form in Format}

    def _render(self, form: Format) -> list[bytes]:
        return render(self._gathering.do(), form, self._renderer)

    def _compress(self, compress: Callable[[list[bytes]], list[bytes]], form: Format) -> list[bytes]:
        return compress(self._plain[form].do())

    def page(self, form: Format, *, compressed: bool) -> list[bytes]:
        """The page as it is now, in parts."""
        return (self._compressed if compressed else self._plain)[form].do()
