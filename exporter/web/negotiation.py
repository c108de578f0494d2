"""Content negotiation: Accept and Accept-Encoding with their weights. Pure; never raises, whatever the header holds."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from exporter.exposition.pages import Format

_ESCAPINGS: Final = frozenset({"allow-utf-8", "underscores", "dots", "values"})
_MAX_RANGES: Final = 32  # Prometheus sends five; what follows is ignored


class Weighted(NamedTuple):
    """One element of such a header, in lower case."""

    value: str
    parameters: Mapping[str, str]
    weight: float  # 0 = not acceptable


class ContentType(NamedTuple):
    """The form of a page, and the header that announces it."""

    form: Format
    header: str


def weighted(header: str) -> list[Weighted]:
    """Return the elements of a header, the heaviest first and in the header's order where they weigh the same."""
    elements = [_element(text) for text in header.lower().split(",", _MAX_RANGES)[:_MAX_RANGES] if text.strip()]
    return sorted(elements, key=lambda element: -element.weight)


def _element(text: str) -> Weighted:
    value, *rest = text.split(";")
    parameters = {}
    for parameter in rest:
        name, _, setting = parameter.partition("=")
        parameters[name.strip()] = setting.strip().strip('"')
    return Weighted(value.strip(), parameters, _weight(parameters.pop("q", "1")))


def _weight(text: str) -> float:
    """Return the weight from 0 to 1; what is not a weight is 0, so that a broken element is never chosen."""
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or not (fraction == "" or (fraction.isascii() and fraction.isdigit())):
        return 0.0
    return min(float(f"{whole}.{fraction[:3] or 0}"), 1.0)


def content_type(accept: str) -> ContentType:
    """Choose the form of the page for an Accept header; text 0.0.4 if nothing in it can be served."""
    for element in weighted(accept):
        if element.weight > 0 and (found := _offer(element)):
            return found
    return ContentType(Format.TEXT, Format.TEXT.value)


def _offer(element: Weighted) -> ContentType | None:
    version = element.parameters.get("version", "")
    if element.value == "application/openmetrics-text" and version in ("", "1.0.0", "0.0.1"):
        header = f"application/openmetrics-text; version={version or '1.0.0'}; charset=utf-8"
        return ContentType(Format.OPENMETRICS, header + _escaping(element, version))
    if element.value == "text/plain" and version == "1.0.0":
        return ContentType(Format.TEXT, "text/plain; version=1.0.0; charset=utf-8" + _escaping(element, version))
    if element.value in ("*/*", "text/*") or (element.value == "text/plain" and version in ("", "0.0.4")):
        return ContentType(Format.TEXT, Format.TEXT.value)
    return None


def _escaping(element: Weighted, version: str) -> str:
    """Answer the escaping that was asked for. Every name here is valid in all of them, so the page is the same."""
    asked = element.parameters.get("escaping")
    if asked is None or version != "1.0.0":
        return ""
    return f"; escaping={asked if asked in _ESCAPINGS else 'underscores'}"


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether gzip is acceptable, and identity not preferred to it."""
    weights: dict[str, float] = {}
    for element in weighted(accept_encoding):
        weights.setdefault(element.value, element.weight)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)
