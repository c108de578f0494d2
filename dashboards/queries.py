"""PromQL that the dashboards share, and the selectors that every query carries."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

SCOPE: Final = 'cluster=~"$cluster",job=~"$job",instance=~"$instance"'

_ALERTS: Final = 'cluster=~"$cluster|",job=~"$job",instance=~"$instance|"'
"""For alerts, which lack those labels if they are not about one host."""

HOST: Final = "cluster, instance"
"""The labels that tell hosts apart: two clusters may use the same addresses."""

TARGET: Final = "cluster, job, instance"
"""The labels that metrics of one exporter share. Joins match on them and aggregate what they join first, so that the
copies of a second Prometheus (labels such as `replica`) do not make them fail."""

MAX_LINES: Final = 8
"""Lines per graph: as many as a legend has room for and the eye can follow."""

NOT_KNOWN: Final = -1
OFF: Final = -2
"""What the query of a tile or a cell answers instead of a value: the collector runs, but has no value; or it is off."""

_LIMIT: Final = (
    "(sysv_msg_queue_limit_bytes{} or (0 * sysv_msg_queue_bytes{} + "
    f"on ({TARGET}) group_left () max by ({TARGET}) (sysv_msgmnb_bytes{{}})))"
)
"""The queue's limit; where the kernel does not tell it (only /proc can be read), the one that new queues get."""

FILL: Final = "sysv_msg_queue_fill_ratio{}"
"""The larger of bytes and messages, over the queue's limit: the kernel refuses a message when either would pass it."""

PERCENT_FULL: Final = f"100 * {FILL}"

PEAK_PERCENT: Final = (
    "100 * (sysv_msg_queue_peak_bytes{} > sysv_msg_queue_peak_messages{} or sysv_msg_queue_peak_messages{})"
    f" / ({_LIMIT} > 0)"
)
"""The same of the peaks that the exporter samples between scrapes."""

_ROOM_BY_COUNT: Final = f"({_LIMIT} - sysv_msg_queue_messages{{}})"

ROOM: Final = (
    f"clamp_min(floor(({_LIMIT} / (sysv_msg_queue_bytes{{}} > 0) - 1) * sysv_msg_queue_messages{{}})"
    f" < {_ROOM_BY_COUNT} or {_ROOM_BY_COUNT}, 0)"
)
"""How many more messages of the mean size fit: the limit bounds the number of messages as well."""

SILENCE: Final = (
    "clamp_min(time() - (sysv_msg_queue_last_receive_timestamp_seconds{} > 0 "
    "or sysv_msg_queue_last_change_timestamp_seconds{}), 0) * (sysv_msg_queue_messages{} > bool 0)"
)
"""Seconds since a message was received (since the queue was created, if none ever was); 0 while the queue is empty."""

_SELECTOR: Final = re.compile(r"(?P<metric>\b[A-Za-z_]\w*)\{(?P<rest>\}?)")


def scoped(expression: str, matchers: Mapping[str, str]) -> str:
    """Return the expression with every selector (each is written with braces) narrowed to the dashboard's variables.

    `matchers` maps the beginning of a metric's name to the matcher that it gets on top of cluster, job and instance.
    """

    def narrow(found: re.Match[str]) -> str:
        name = found["metric"]
        more = [matcher for beginning, matcher in matchers.items() if re.match(beginning, name)]
        scope = _ALERTS if name.startswith("ALERTS") else SCOPE
        return f"{name}{{{','.join([scope, *more])}{found['rest'] or ','}"

    return _SELECTOR.sub(narrow, expression)


def once(expression: str) -> str:
    """Return the expression without the copies that a second Prometheus scraped, so that they are not added up."""
    return f"max without (prometheus, prometheus_replica, replica) ({expression})"


def rate(counter: str, *by: str, seconds: int = 1) -> str:
    """Return what the counter rises by in so many seconds, by those labels."""
    factor = f"{seconds} * " if seconds != 1 else ""
    return f"{factor}sum by ({', '.join(by)}) ({once(f'rate({counter}[$__rate_interval])')})"


def top(expression: str, *by: str, most: int = MAX_LINES) -> str:
    """Return the series that were highest at any time of the range, identified by those labels."""
    return f"({expression}) and on ({', '.join(by)}) topk({most}, {_peak(expression)})"


def busiest(expression: str, *by: str, most: int = MAX_LINES, exists: str = "") -> str:
    """Return the same as top(), of what was ever above 0; if nothing was, one series at 0 whose first label is `none`.

    A hundred series that stay at 0 would hide the one that does not. The answer is empty only if the metric does not
    exist, or what `exists` names, for an expression that has no series while nothing happens.
    """
    risen = f"{_peak(expression)} > 0"
    found = f"({expression}) and on ({', '.join(by)}) topk({most}, {risen})"
    if not exists:  # then the metric has a value at every moment, and so has what was found
        return f"{found} or on () {_none(expression, by[0])}"
    return f"{found} or on () ({_none(exists, by[0])} unless on () ({risen}))"


def events(counter: str, *by: str, most: int = MAX_LINES) -> str:
    """Return what the counter rises by per minute, by those labels, as busiest() does."""
    return busiest(rate(counter, *by, seconds=60), *by, most=most)


def quantile(share: float, buckets: str, *by: str, most: int = MAX_LINES) -> str:
    """Return the value below which that share of the histogram's observations lies, by those labels, as busiest()."""
    rates = rate(buckets, "le", *by)
    exists = f"rate({buckets}[$__rate_interval])"
    return busiest(f"histogram_quantile({share}, {rates}) >= 0", *by, most=most, exists=exists)


def worst(expression: str, label: str, most: int = MAX_LINES, *, exists: str = "") -> str:
    """Return the highest values of a moment that round to 1 and more; if there are none, `none` at 0 in the label."""
    return f"topk({most}, {expression} >= 0.5) or on () {_none(exists or expression, label)}"


def count_kinds(expressions: Sequence[str], by: str) -> str:
    """Return how many of the expressions, each summed by those labels, round to 1 and more."""
    parts = [
        f'label_replace(sum by ({by}) ({expression}) >= bool 0.5, "kind", "{number}", "", "")'
        for number, expression in enumerate(expressions)
    ]
    return f"sum by ({by}) ({' or '.join(parts)})"


def _none(expression: str, label: str) -> str:
    return f'label_replace(0 * sum({expression}), "{label}", "none", "", "")'


def _peak(expression: str) -> str:
    """Return the highest of the points that the graph draws, the same at each of them: no line comes and goes."""
    return f"max_over_time(({expression})[$__range:$__interval] @ end())"
