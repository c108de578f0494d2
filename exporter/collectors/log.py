"""Collector `log`: script failures, drops and other trouble, from the log or journal that OpenVPN writes."""

import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.log_counts import LogCounts, families
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, LogRule, OpenVpnServer
from exporter.exposition.families import Metric
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.journal import FollowedUnit
from exporter.follow.positions import Positions
from exporter.openvpn.logparser import Found, LogParser, Unread
from exporter.openvpn.syslogtag import TagFilter

_log = logging.getLogger(__name__)

READ_ERRORS: Final = Metric(
    "openvpn_log_read_errors_total",
    "counter",
    "Failed attempts to read OpenVPN's log or journal; one per second while it lasts.",
    ("server",),
)

_PROGRAMS: Final = ("openvpn", "conmon")  # what journald calls the writer of OpenVPN's lines; conmon: podman's
_MAX_EXAMPLE: Final = 200  # characters of a line that is quoted


class ServerLog:
    """Counts the lines of one server."""

    def __init__(self, server: str, syslog_tag: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.syslog_tag = syslog_tag
        self.counts = LogCounts()
        self._server = server
        self._rules: tuple[LogRule, ...] = ()
        self._filter = TagFilter(syslog_tag) if syslog_tag else None
        self._clock = clock
        self._parser = LogParser()
        self._unread_example: str | None = None

    @property
    def fault(self) -> str | None:
        """Why the counts are not complete, in one sentence."""
        if not self._parser.is_unreadable:
            return None
        return (
            f"most of OpenVPN's lines have a prefix that is not known, such as {self._unread_example!r}; "
            "docs/log.md lists those that are"
        )

    def adopt_rules(self, rules: tuple[LogRule, ...]) -> None:
        """Count matches of these rules from now on."""
        self.counts.adopt_rules([rule.name for rule in rules])
        self._rules = rules

    def on_lines(self, batch: bytes) -> None:
        """Count whole lines that OpenVPN or its scripts wrote."""
        own = self._filter.select(batch) if self._filter else batch
        if own:
            self._count(own, self._parser.feed(own))

    def on_output(self, batch: bytes) -> None:
        """Count whole lines that some other program wrote, according to the journal."""
        self._count(batch, self._parser.feed_output(batch))

    def _count(self, batch: bytes, found: list[Found]) -> None:
        counts = self.counts
        counts.lines += batch.count(b"\n")
        counts.last_line = self._clock()
        for rule in self._rules:
            if rule.name in counts.rule_matches:  # a reload may just have dropped it
                counts.rule_matches[rule.name] += rule.count(batch)
        for item in found:
            counts.add(item)
            if isinstance(item.meaning, Unread) and not self._unread_example:
                self._unread_example = item.meaning.line[:_MAX_EXAMPLE]
                _log.warning(
                    "server %s: a line of OpenVPN's is not counted, because its prefix is not known: %r",
                    self._server,
                    self._unread_example,
                )


class Followed:
    """A log or journal unit, and the servers whose lines it holds: several, if they share a log."""

    def __init__(
        self, server: OpenVpnServer, positions: Positions, other_files: Callable[[], Collection[Path]]
    ) -> None:
        self.logs: dict[str, ServerLog] = {}  # by server; replaced, never changed
        self.source: Source
        if server.journal:
            self.source = FollowedUnit(server.journal, _PROGRAMS, self._on_lines, self._on_output, positions)
        else:
            assert server.log  # noqa: S101  # for the type checker: only servers with one of the two are followed
            self.source = FollowedFile(server.log, self._on_lines, positions, other_files)

    def _on_lines(self, batch: bytes) -> None:
        for log in self.logs.values():
            log.on_lines(batch)

    def _on_output(self, batch: bytes) -> None:
        for log in self.logs.values():
            log.on_output(batch)


class LogCollector(Collector):
    """Follows every server's log or journal unit, and counts."""

    def __init__(self, config: Config, state_directory: Path | None) -> None:
        """Raise RefusedError if positions cannot be written to the state directory."""
        self._positions = Positions(state_directory)
        self._is_remembering = state_directory is not None
        self._follower = Follower()
        self._is_started = False
        self._config = config
        self._followed: dict[Path | str, Followed] = {}  # by log or unit; replaced, never changed
        self._adopt(config)

    @property
    def active(self) -> bool:
        """Whether a server has a log or a journal unit."""
        return bool(self._followed)

    def start(self) -> None:
        """Start to follow."""
        if self._followed and not self._is_remembering:
            _log.info("without --state.directory, lines that are logged while the exporter does not run do not count")
        self._is_started = True
        for followed in self._followed.values():
            self._follower.add(followed.source)

    def stop(self) -> None:
        """Stop following."""
        self._is_started = False
        self._follower.stop()

    def reconfigure(self, config: Config) -> None:
        """Follow the servers of a new configuration; counts go on for those whose log and syslog_tag are the same."""
        before = self._followed
        self._adopt(config)
        self._follower.remove(*(followed.source for where, followed in before.items() if where not in self._followed))
        if self._is_started:
            for where, followed in self._followed.items():
                if where not in before:
                    self._follower.add(followed.source)

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return all counters. Raise PartialResultError, with them, while a log cannot be read."""
        logs: dict[str, ServerLog] = {}
        sources: dict[str, Source] = {}
        for followed in self._followed.values():
            logs |= followed.logs
            sources |= dict.fromkeys(followed.logs, followed.source)
        found = [
            *families({server: log.counts for server, log in logs.items()}),
            READ_ERRORS.family([source.errors for source in sources.values()], list(sources)),
        ]
        faults = [f"server {server}: {fault}" for server, source in sources.items() if (fault := source.fault)]
        faults += [f"server {server}: {fault}" for server, log in logs.items() if (fault := log.fault)]
        if faults:
            raise PartialResultError("; ".join(faults), found)
        return found

    def _adopt(self, config: Config) -> None:
        self._config = config
        followed: dict[Path | str, Followed] = {}
        logs: dict[Path | str, dict[str, ServerLog]] = {}
        for server in config.servers:
            where = server.journal or server.log
            if where:
                known = self._followed.get(where) or followed.get(where)
                followed[where] = known or Followed(server, self._positions, lambda: self._config.server_files)
                log = followed[where].logs.get(server.name)
                if not log or log.syslog_tag != server.syslog_tag:
                    log = ServerLog(server.name, server.syslog_tag)
                log.adopt_rules(config.log_rules)
                logs.setdefault(where, {})[server.name] = log
        for where, own in logs.items():
            followed[where].logs = own
        self._followed = followed


def _build(context: BuildContext) -> LogCollector | None:
    """Return None with --once: a single look has nothing to count."""
    settings = context.settings
    return None if settings.once else LogCollector(settings.config, settings.state_directory)


SPEC: Final = CollectorSpec(
    "log", True, _build, "script failures and drops, from OpenVPN's log or journal, if one is configured"
)
