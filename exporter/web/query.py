"""What a request for the metrics asks for: collect[], exclude[], name[], and how long the client waits. Pure."""

import math
from collections.abc import Collection
from typing import Final

from exporter.exposition.pages import Query
from exporter.web.request import BadRequestError, Request

# Seconds. With less, every collector is late, which is logged; the clock cannot add what is beyond all measure.
_SHORTEST: Final = 0.1
_LONGEST: Final = 3600.0


def read_query(request: Request, known: Collection[str]) -> Query:
    """Read the query; `known`: the collectors that are switched on. Raises BadRequestError."""
    collect, exclude = request.values("collect[]"), request.values("exclude[]")
    if collect and exclude:
        raise BadRequestError(400, "collect[] and exclude[] cannot be combined; give one of the two")
    for name in (*collect, *exclude):
        if name not in known:
            raise BadRequestError(
                400, f"there is no collector {name!r:.80} here; there are: {', '.join(sorted(known))}"
            )
    collectors = None
    if collect or exclude:
        collectors = frozenset(collect or set(known).difference(exclude))
    names = request.values("name[]")
    return Query(collectors, frozenset(names) if names else None, _timeout(request))


def _timeout(request: Request) -> float | None:
    """Return the seconds in which the page must be made; None if the request does not tell how long Prometheus waits.

    Half a second of that is left for rendering and the way back; of less than five seconds, a tenth.
    """
    try:
        seconds = float(request.headers.get("x-prometheus-scrape-timeout-seconds", ""))
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    seconds = min(max(seconds, _SHORTEST), _LONGEST)
    return round(max(seconds * 0.9, seconds - 0.5), 3)
