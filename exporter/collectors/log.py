"""Collector `log`: script failures, drops and other trouble, from the log or journal that OpenVPN writes."""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, LogRule, OpenVpnServer
from exporter.exposition.families import Metric
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.journal import FollowedUnit
from exporter.follow.positions import Positions
from exporter.openvpn.logline import (
    DROPS,
    EVENTS,
    HOOKS,
    OTHER,
    PLUGIN,
    QUEUE_KINDS,
    SCRIPT_REASONS,
    STAMPED,
    Drop,
    Event,
    Failure,
    Suppressed,
    candidates,
    meaning,
    queue_kind,
    split,
)

_log = logging.getLogger(__name__)


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
READ_ERRORS: Final = _counter(
    "openvpn_log_read_errors_total", "Failed attempts to read OpenVPN's log or journal; one a second while it lasts."
)
LAST_LINE: Final = Metric(
    "openvpn_log_last_line_timestamp_seconds",
    "gauge",
    "When the last line of OpenVPN's log was read, by the exporter's clock.",
    ("server",),
)

_STAMPED_LINE: Final = re.compile(rb"^" + STAMPED, re.MULTILINE)
_BANNER: Final = re.compile(rb"^OpenVPN [0-9]+\.[0-9]", re.MULTILINE)


class Counters:
    """The counters of all servers."""

    def __init__(self, rules: tuple[LogRule, ...]) -> None:
        self.rules = rules
        self.failures = FAILURES.counter()
        self.events = EVENTS_TOTAL.counter()
        self.dropped = DROPPED.counter()
        self.queue_lines = QUEUE_LINES.counter()
        self.rule_matches = RULE_MATCHES.counter()
        self.lines = LINES.counter()
        self.suppressed = SUPPRESSED.counter()
        self.last_line = LAST_LINE.gauge()

    def begin(self, server: str) -> None:
        """Let every series that can be foreseen exist, at 0, so that the first event shows as an increase."""
        for hook in (*HOOKS, OTHER):
            for reason in (*SCRIPT_REASONS, PLUGIN):
                self.failures.labels(server, hook, reason)
        self.failures.labels(server, PLUGIN, PLUGIN)
        self.failures.labels(server, "client-connect", "deferred")
        for counter, values in (
            (self.events, EVENTS),
            (self.dropped, DROPS),
            (self.queue_lines, QUEUE_KINDS),
            (self.rule_matches, [rule.name for rule in self.rules]),
        ):
            for value in values:
                counter.labels(server, value)
        self.lines.labels(server)
        self.suppressed.labels(server)

    def all(self) -> list[Counter]:
        """Those that count by themselves."""
        return [
            *(self.failures, self.events, self.dropped, self.queue_lines, self.rule_matches),
            *(self.lines, self.suppressed),
        ]


class ServerLog:
    """Counts the lines of one server."""

    def __init__(self, server: str, counters: Counters, clock: Callable[[], float] = time.time) -> None:
        self._server = server
        self._counters = counters
        self._clock = clock
        self._stamped = False  # whether OpenVPN puts a date before each line, so that a line without is a script's

    def take(self, batch: bytes) -> None:
        """Lines that OpenVPN wrote, or its scripts."""
        found = self._count(batch)
        if _STAMPED_LINE.search(batch, 0, 1024) or (found and _STAMPED_LINE.search(batch)):
            self._stamped = True
        elif _BANNER.search(batch, 0, 1024):
            self._stamped = False  # it was started anew, without
        for text in found:
            line = split(text)
            if line.stamp or not self._stamped:
                self._interpret(line.message)

    def take_output(self, batch: bytes) -> None:
        """Lines that certainly some script wrote."""
        self._count(batch)

    def _count(self, batch: bytes) -> list[str]:
        """Count what may stand in any line; returns those that may mean something."""
        counters = self._counters
        counters.lines.labels(self._server).inc(batch.count(b"\n"))
        counters.last_line.labels(self._server).set(self._clock())
        for rule in counters.rules:
            counters.rule_matches.labels(self._server, rule.name).inc(rule.count(batch))
        found = [line.decode(errors="replace") for line in candidates(batch)]
        for text in found:
            if kind := queue_kind(text):
                counters.queue_lines.labels(self._server, kind).inc()
        return found

    def _interpret(self, message: str) -> None:
        match meaning(message):
            case Failure(hook, reason):
                self._counters.failures.labels(self._server, hook, reason).inc()
            case Event(event):
                self._counters.events.labels(self._server, event).inc()
            case Drop(reason, packets):
                self._counters.dropped.labels(self._server, reason).inc(packets)
            case Suppressed(lines):
                self._counters.suppressed.labels(self._server).inc(lines)


class LogCollector(Collector):
    """Follows every server's log, and counts."""

    def __init__(self, sources: dict[str, Source], counters: Counters, *, remembering: bool) -> None:
        self._sources = sources
        self._counters = counters
        self._remembering = remembering
        self._follower = Follower()

    def start(self) -> None:
        """Begin to follow."""
        if not self._remembering:
            _log.info(
                "%s",
                "without --state.directory, lines that are logged while the exporter does not run are not counted",
            )
        for source in self._sources.values():
            self._follower.add(source)

    def stop(self) -> None:
        """End following."""
        self._follower.stop()

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """All counters; PartialResultError, with them, while a log cannot be read."""
        families = [family for counter in self._counters.all() for family in counter.collect()]
        families += self._counters.last_line.collect()
        errors = READ_ERRORS.family([source.errors for source in self._sources.values()], list(self._sources))
        faults = [f"server {server}: {source.fault}" for server, source in self._sources.items() if source.fault]
        if faults:
            raise PartialResultError("; ".join(faults), [*families, errors])
        return [*families, errors]


def _build(context: BuildContext) -> LogCollector | None:
    """A source for each server that has a log or a journal unit; nothing can be counted in a single look."""
    settings = context.settings
    servers = [server for server in settings.config.servers if server.log or server.journal]
    if not servers or settings.once:
        return None
    positions = Positions(settings.state_directory)
    counters = Counters(settings.config.log_rules)
    followed = {server.name: _source(server, settings.config, counters, positions) for server in servers}
    return LogCollector(followed, counters, remembering=settings.state_directory is not None)


def _source(server: OpenVpnServer, config: Config, counters: Counters, positions: Positions) -> Source:
    counters.begin(server.name)
    log = ServerLog(server.name, counters)
    if server.journal:
        return FollowedUnit(server.journal, "openvpn", log.take, log.take_output, positions)
    assert server.log  # noqa: S101  # for the type checker: build has chosen servers that have one of the two
    return FollowedFile(server.log, log.take, positions, lambda: config.server_files)


SPEC: Final = CollectorSpec(
    "log", True, _build, "script failures and drops, from OpenVPN's log or journal, if one is configured"
)
