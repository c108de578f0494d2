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

PEAK_FILL: Final = FILL.replace("queue_bytes", "queue_peak_bytes").replace("queue_messages", "queue_peak_messages")
"""The same of the peaks that the exporter samples between scrapes."""

SILENCE: Final = (
    "clamp_min(time() - (sysv_msg_queue_last_receive_timestamp_seconds{} > 0 "
    "or sysv_msg_queue_last_change_timestamp_seconds{}), 0) * (sysv_msg_queue_messages{} > bool 0)"
)
"""Seconds since a message was taken (or, where none ever was, since the queue was made); 0 where none waits."""

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


def per_minute(counter: str, *by: str) -> str:
    """What the counter rose by in a minute, by those labels."""
    return f"60 * sum by ({', '.join(by)}) (rate({counter}[$__rate_interval]))"


def events(counter: str, *by: str, sign: str = "") -> str:
    """As per_minute, but only what happens at all; where nothing does, one series at 0, labelled `none`.

    A hundred series that stay at 0 would bury the one that does not. The answer is empty only where the counter is.
    """
    rate = f"rate({counter}[$__rate_interval])"
    return f"{sign}60 * (sum by ({', '.join(by)}) ({rate}) > 0) or {_none(rate, by[0])}"


def quantile(share: float, buckets: str, *by: str) -> str:
    """The value below which that share of the histogram's observations lies; 0 and `none` while there are none."""
    rate = f"rate({buckets}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({', '.join(['le', *by])}) ({rate})) >= 0 or {_none(rate, by[0])}"


def count_kinds(expressions: Sequence[str], by: str) -> str:
    """How many of the expressions, each summed by that label, are above 0; those without an answer count nothing."""
    parts = [
        f'label_replace(sum by ({by}) ({expression}) > bool 0, "kind", "{number}", "", "")'
        for number, expression in enumerate(expressions)
    ]
    return f"sum by ({by}) ({' or '.join(parts)})"


def _none(rate: str, label: str) -> str:
    return f'on () label_replace(0 * sum({rate}), "{label}", "none", "", "")'
