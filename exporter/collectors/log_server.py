"""The log of one server, for the collector `log`: parsed, counted, its connections remembered."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from exporter.collectors.log_server_counts import LogCounts
from exporter.config.model import LogRule
from exporter.follow.positions import Positions
from exporter.openvpn.connectiontable import ConnectionTable
from exporter.openvpn.found import Found, Unread
from exporter.openvpn.logparser import LogParser
from exporter.openvpn.syslogtag import TagFilter

_log = logging.getLogger(__name__)

_MAX_EXAMPLE: Final = 200  # characters of a line that is quoted
_SAVE_INTERVAL: Final = 10.0  # seconds


class ServerLog:
    """Counts the lines of one server."""

    def __init__(
        self,
        server: str,
        syslog_tag: str | None = None,
        positions: Positions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`positions` remembers the connections that have not ended, so that none counts twice after a restart."""
        self.syslog_tag = syslog_tag
        self.counts = LogCounts()
        self._server = server
        self._rules: tuple[LogRule, ...] = ()
        self._filter = TagFilter(syslog_tag) if syslog_tag else None
        self._clock = clock
        self._parser = LogParser()
        self._unread_example: str | None = None
        self._positions = positions or Positions(None)
        self._saved_at = time.monotonic()
        self._restore()

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

    @property
    def connections(self) -> ConnectionTable:
        """The connections that the log shows."""
        return self._parser.connections

    def on_lines(self, batch: bytes, times: Sequence[float] = ()) -> None:
        """Count whole lines that OpenVPN or its scripts wrote; `times` is when, in seconds since 1970, if known."""
        batch = batch.replace(b"\r\n", b"\n")  # of a terminal, such as that of a container with `tty: true`
        own = self._filter.select(batch) if self._filter else batch
        if own:
            self.connections.now = now = time.monotonic()
            self._count(own, self._parser.feed(own, times))
            if now - self._saved_at >= _SAVE_INTERVAL:
                self.connections.expire()
                self.save(is_complete=False)

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

    def save(self, *, is_complete: bool) -> None:
        """Remember the connections that have not ended; `is_complete`: as of the position that is remembered."""
        self._saved_at = time.monotonic()
        if self.connections.is_visible:
            saved = {"is_complete": is_complete, "connections": self.connections.save()}
            self._positions.save(self._state_name, saved)

    def _restore(self) -> None:
        saved = self._positions.load(self._state_name)
        if isinstance(saved, dict):
            self.connections.now = time.monotonic()
            self.connections.restore(saved.get("connections"), with_open=saved.get("is_complete") is True)
            self.save(is_complete=False)  # what is counted from now on is not in it

    @property
    def _state_name(self) -> str:
        return f"connections of {self._server}"
