"""What the collector `log` counts, per server."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from exporter.exposition.families import Family, Metric
from exporter.openvpn.found import QUEUE_KINDS, Found, QueueLine, Unread
from exporter.openvpn.messages import (
    DROPS,
    EVENTS,
    Drop,
    Event,
    Failure,
    Suppressed,
)


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_text, ("server", *labels))


FAILURES: Final = _counter(
    "openvpn_script_failures_total",
    "Scripts and plugins that OpenVPN's log reports as failed: WARNING: Failed running command, PLUGIN_CALL, "
    "CC_RET_FAILED.",
    *("hook", "reason"),
)
EVENTS_TOTAL: Final = _counter(
    "openvpn_log_events_total",
    "Lines of OpenVPN's log that mean trouble without being a script's failure: TLS Error, would exceed, ...",
    "event",
)
DROPPED: Final = _counter(
    "openvpn_packets_dropped_total",
    "Packets that OpenVPN's log says it dropped; a line with a count adds that count.",
    "reason",
)
QUEUE_LINES: Final = _counter(
    "openvpn_log_message_queue_lines_total",
    "Lines of OpenVPN's log that speak of a \"Message queue\": what the site's own scripts print into it.",
    "kind",
)
RULE_MATCHES: Final = _counter(
    "openvpn_log_rule_matches_total", "Lines of OpenVPN's log that match a rule of the configuration.", "rule"
)
LINES: Final = _counter("openvpn_log_lines_total", "Lines read from OpenVPN's log.")
SUPPRESSED: Final = _counter(
    "openvpn_log_suppressed_lines_total", "Lines that OpenVPN's log says were suppressed by --mute."
)
UNREAD: Final = _counter(
    "openvpn_log_unread_lines_total",
    "Lines of OpenVPN's log that end with a message of OpenVPN's, behind a prefix that is not known.",
)
LAST_LINE: Final = Metric(
    "openvpn_log_last_line_timestamp_seconds",
    "gauge",
    "When the last line of OpenVPN's log was read, by the exporter's clock.",
    ("server",),
)


class LogCounts:
    """The counts of one server. What can be foreseen exists at 0, so that the first event shows as an increase."""

    def __init__(self) -> None:
        self.failures = Counter[Failure]()
        self.possible_failures: tuple[Failure, ...] = ()  # which exist at 0
        self.events = Counter(dict.fromkeys(EVENTS, 0))
        self.dropped = Counter(dict.fromkeys(DROPS, 0))
        self.queue_lines = Counter(dict.fromkeys(QUEUE_KINDS, 0))
        self.rule_matches = Counter[str]()
        self.lines = 0
        self.suppressed = 0
        self.unread = 0
        self.last_line: float | None = None  # seconds since 1970

    def adopt_rules(self, names: Collection[str]) -> None:
        """Count for the log rules of these names; what is counted for those that stay goes on."""
        self.rule_matches = Counter({name: self.rule_matches[name] for name in names})

    def add(self, found: Found) -> None:
        """Count what a line means."""
        match found.meaning:
            case Failure() as failure:
                self.failures[failure] += found.times
            case Event(event):
                self.events[event] += found.times
            case Drop(reason, packets):
                self.dropped[reason] += packets * found.times
            case Suppressed(lines):
                self.suppressed += lines * found.times
            case QueueLine(kind):
                self.queue_lines[kind] += found.times
            case Unread():
                self.unread += found.times


def families(counts: Mapping[str, LogCounts]) -> list[Family]:
    """Return all series, `counts` by server. They may be counted on meanwhile."""
    failures = [
        (server, key, value)
        for server, count in counts.items()
        for key, value in {**dict.fromkeys(count.possible_failures, 0), **count.failures}.items()
    ]
    return [
        FAILURES.family(
            [value for _, _, value in failures],
            [server for server, _, _ in failures],
            [failure.hook for _, failure, _ in failures],
            [failure.reason for _, failure, _ in failures],
        ),
        _by_value(EVENTS_TOTAL, {server: count.events for server, count in counts.items()}),
        _by_value(DROPPED, {server: count.dropped for server, count in counts.items()}),
        _by_value(QUEUE_LINES, {server: count.queue_lines for server, count in counts.items()}),
        _by_value(RULE_MATCHES, {server: count.rule_matches for server, count in counts.items()}),
        LINES.by_label({server: count.lines for server, count in counts.items()}),
        SUPPRESSED.by_label({server: count.suppressed for server, count in counts.items()}),
        UNREAD.by_label({server: count.unread for server, count in counts.items()}),
        LAST_LINE.by_label({server: count.last_line for server, count in counts.items()}),
    ]


def _by_value(metric: Metric, counters: Mapping[str, Counter[str]]) -> Family:
    rows = [(server, label, value) for server, counter in counters.items() for label, value in dict(counter).items()]
    return metric.family([value for _, _, value in rows], [row[0] for row in rows], [row[1] for row in rows])
