"""Collector `log`: script failures, drops and other trouble, from the log or journal that OpenVPN writes."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.log_connections import connection_families
from exporter.collectors.log_server import ServerLog
from exporter.collectors.log_server_counts import families
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config, OpenVpnServer
from exporter.exposition.families import Metric
from exporter.follow.base import Source
from exporter.follow.file import FollowedFile
from exporter.follow.follower import Follower
from exporter.follow.journal import FollowedUnit
from exporter.follow.positions import Positions
from exporter.openvpn.messages import possible_failures

_log = logging.getLogger(__name__)

READ_ERRORS: Final = Metric(
    "openvpn_log_read_errors_total",
    "counter",
    "Failed attempts to read OpenVPN's log or journal; one per second while it lasts.",
    ("server",),
)

_PROGRAMS: Final = ("openvpn", "conmon")  # what journald calls the writer of OpenVPN's lines; conmon: podman's


class Followed:
    """A log or journal unit, and the servers whose lines it holds: several, if they share a log."""

    def __init__(
        self, server: OpenVpnServer, positions: Positions, other_files: Callable[[], Collection[Path]]
    ) -> None:
        self.logs: dict[str, ServerLog] = {}  # by server; replaced, never changed
        self.source: Source
        if server.journal:
            unit = FollowedUnit(
                server.journal, _PROGRAMS, lambda batch: self._on_lines(batch, unit.times), self._on_output, positions
            )
            self.source = unit
        else:
            assert server.log  # noqa: S101  # for the type checker: only servers with one of the two are followed
            self.source = FollowedFile(server.log, self._on_lines, positions, other_files)

    def _on_lines(self, batch: bytes, times: Sequence[float] = ()) -> None:
        for log in self.logs.values():
            log.on_lines(batch, times)

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
        for followed in self._followed.values():
            for log in followed.logs.values():
                log.save(is_complete=True)

    def reconfigure(self, config: Config) -> None:
        """Follow the servers of a new configuration; counts go on for those whose log and syslog_tag are the same."""
        before = self._followed
        self._adopt(config)
        self._follower.remove(*(followed.source for where, followed in before.items() if where not in self._followed))
        for where, followed in before.items():
            for name, log in followed.logs.items():
                if where not in self._followed or self._followed[where].logs.get(name) is not log:
                    log.save(is_complete=True)
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
            *connection_families({server: log.connections for server, log in logs.items()}),
            READ_ERRORS.family([source.errors for source in sources.values()], list(sources)),
        ]
        faults = [f"server {server}: {fault}" for server, source in sources.items() if (fault := self._fault(source))]
        faults += [f"server {server}: {fault}" for server, log in logs.items() if (fault := log.fault)]
        if faults:
            raise PartialResultError("; ".join(faults), found)
        return found

    def _fault(self, source: Source) -> str | None:
        refusal = self._follower.refusal(source)
        return f"cannot follow it: {refusal}" if refusal else source.fault

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
                    log = ServerLog(server.name, server.syslog_tag, self._positions)
                log.adopt_rules(config.log_rules)
                log.counts.possible_failures = possible_failures(server.script_hooks)
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
