"""PromQL that the dashboards share, and the selectors that every query carries.

Panels read the exporter's own metrics and no recording rule, so that they show the truth where the rules of this
folder are not loaded, and on every Prometheus that scraped the exporter, for as long as it keeps samples.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

SCOPE: Final = 'job=~"$job",instance=~"$instance"'

FILL: Final = (
    "(sysv_msg_queue_bytes{} > sysv_msg_queue_messages{} or sysv_msg_queue_messages{})"
    " / (sysv_msg_queue_limit_bytes{} > 0)"
)
"""The larger of bytes and messages, over the queue's limit: the kernel refuses a message when either would pass it."""

PERCENT_FULL: Final = f"100 * {FILL}"

PEAK_PERCENT: Final = PERCENT_FULL.replace("queue_bytes", "queue_peak_bytes").replace(
    "queue_messages", "queue_peak_messages"
)
"""The same of the peaks that the exporter samples between scrapes."""

SILENCE: Final = (
    "clamp_min(time() - (sysv_msg_queue_last_receive_timestamp_seconds{} > 0 "
    "or sysv_msg_queue_last_change_timestamp_seconds{}), 0) * (sysv_msg_queue_messages{} > bool 0)"
)
"""Seconds since a message was taken (or, where none ever was, since the queue was made); 0 where none waits."""

MOST: Final = 8
"""Lines of a graph: as many as its legend has room for, and the eye can follow."""

_SELECTOR: Final = re.compile(r"(?P<metric>\b[A-Za-z_]\w*)\{(?P<rest>\}?)")


def scoped(expression: str, matchers: Mapping[str, str]) -> str:
    """Every selector of the expression (each is written with braces) narrowed to the dashboard's variables.

    `matchers` maps the beginning of a metric's name to the matcher that it gets on top of job and instance.
    """

    def narrow(found: re.Match[str]) -> str:
        name = found["metric"]
        more = [matcher for beginning, matcher in matchers.items() if re.match(beginning, name)]
        return f"{name}{{{','.join([SCOPE, *more])}{found['rest'] or ','}"

    return _SELECTOR.sub(narrow, expression)


def rate(counter: str, *by: str, seconds: int = 1) -> str:
    """What the counter rises by in so many seconds, by those labels."""
    factor = f"{seconds} * " if seconds != 1 else ""
    return f"{factor}sum by ({', '.join(by)}) (rate({counter}[$__rate_interval]))"


def top(expression: str, *by: str, most: int = MOST) -> str:
    """The series that were highest at any time of the range, told apart by those labels: forty lines are none."""
    return f"({expression}) and on ({', '.join(by)}) topk({most}, {_peak(expression)})"


def busiest(expression: str, *by: str, most: int = MOST, counter: str = "") -> str:
    """As top, but only what was ever above 0; where nothing was, one series at 0, the first label of which is `none`.

    A hundred series that stay at 0 would bury the one that does not. The answer is empty only where the metric is,
    or the `counter` under an expression that can be empty by itself.
    """
    risen = f"{_peak(expression)} > 0"
    there = f"rate({counter}[$__rate_interval])" if counter else expression
    found = f"({expression}) and on ({', '.join(by)}) topk({most}, {risen})"
    return f"{found} or on () ({_none(there, by[0])} unless on () ({risen}))"


def events(counter: str, *by: str, most: int = MOST) -> str:
    """What the counter rises by in a minute, by those labels, as busiest."""
    return busiest(rate(counter, *by, seconds=60), *by, most=most)


def slowest(share: float, buckets: str, *by: str, most: int = MOST) -> str:
    """The value below which that share of the histogram's observations lies, by those labels, as busiest."""
    rates = f"sum by ({', '.join(['le', *by])}) (rate({buckets}[$__rate_interval]))"
    return busiest(f"histogram_quantile({share}, {rates}) >= 0", *by, most=most, counter=buckets)


def mirrored(expression: str) -> str:
    """Pointing down, for what goes the other way."""
    return f"-({expression})"


def worst(expression: str, label: str, most: int = MOST) -> str:
    """Of a moment: the highest that round to 1 and more; where there are none, one at 0 that says so in the label."""
    return f"topk({most}, {expression} >= 0.5) or on () {_none(expression, label)}"


def _none(expression: str, label: str) -> str:
    return f'label_replace(0 * sum({expression}), "{label}", "none", "", "")'


def _peak(expression: str) -> str:
    """The highest of the points that the graph draws, the same at each of them, so that no line comes and goes."""
    return f"max_over_time(({expression})[$__range:$__interval] @ end())"


def count_kinds(expressions: Sequence[str], by: str) -> str:
    """How many of the expressions, each summed by those labels, round to 1 and more; the others count nothing."""
    parts = [
        f'label_replace(sum by ({by}) ({expression}) >= bool 0.5, "kind", "{number}", "", "")'
        for number, expression in enumerate(expressions)
    ]
    return f"sum by ({by}) ({' or '.join(parts)})"
