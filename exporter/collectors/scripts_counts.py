"""What the collector `scripts` counts: starts, ends and durations of the scripts that OpenVPN runs."""

from typing import Final

from prometheus_client import Counter, Histogram

from exporter.collectors.base import Families
from exporter.collectors.servers import forget_server
from exporter.exposition.families import Metric
from exporter.openvpn.hookrecord import possible_hooks
from exporter.process_events.child import Failure

RUNS: Final = Metric(
    "openvpn_script_runs_total",
    "counter",
    "Scripts that OpenVPN executed, from the forks of its process that the kernel reports (PROC_EVENT_FORK).",
    ("server", "hook"),
)
RUN_FAILURES: Final = Metric(
    "openvpn_script_run_failures_total",
    "counter",
    "Scripts that ended badly, by the exit status that the kernel reports (PROC_EVENT_EXIT).",
    ("server", "hook", "reason"),
)
DURATION: Final = Metric(
    "openvpn_script_duration_seconds",
    "histogram",
    "From fork to exit of the script's process, by the kernel's clock: OpenVPN served nobody meanwhile.",
    ("server", "hook"),
)

REASONS: Final[tuple[Failure, ...]] = ("exit_status", "signal", "not_executable")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ScriptCounts:
    """The counters that live on between scrapes; what is known in advance exists at 0."""

    def __init__(self) -> None:
        self._runs, self._failures = RUNS.counter(), RUN_FAILURES.counter()
        self._durations = DURATION.histogram(_BUCKETS)
        self._cells: dict[tuple[str, str], tuple[Counter, Histogram]] = {}  # as finding them takes longer than counting
        self._hooks: dict[str, frozenset[str]] = {}  # whose counters exist, by server; values are replaced

    @property
    def servers(self) -> frozenset[str]:
        """Return the servers that have counters."""
        return frozenset(self._hooks)

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Return each server with each of its hooks that have counters."""
        return [(server, hook) for server, hooks in sorted(self._hooks.items()) for hook in sorted(hooks)]

    def started(self, server: str, hook: str) -> None:
        """Count a script that OpenVPN has executed."""
        self._cell(server, hook)[0].inc()

    def ended(self, server: str, hook: str, seconds: float, failure: Failure | None) -> None:
        """Count its end."""
        self._cell(server, hook)[1].observe(seconds)
        if failure:
            self._failures.labels(server, hook, failure).inc()

    def _cell(self, server: str, hook: str) -> tuple[Counter, Histogram]:
        """Return runs and durations; these exist from the first run on, so that the first end shows as an increase."""
        cell = self._cells.get((server, hook))
        if cell is None:
            self._expect(server, frozenset({hook}))
            cell = self._runs.labels(server, hook), self._durations.labels(server, hook)
            self._cells[server, hook] = cell
        return cell

    def know(self, server: str, hooks: frozenset[str] | None) -> None:
        """Let the server's counters of these hooks begin at 0; None: those of all hooks."""
        self._expect(server, frozenset(possible_hooks(hooks)))

    def _expect(self, server: str, hooks: frozenset[str]) -> None:
        known = self._hooks.get(server, frozenset())
        for hook in hooks - known:
            self._runs.labels(server, hook)
            for reason in REASONS:
                self._failures.labels(server, hook, reason)
        self._hooks[server] = known | hooks

    def forget(self, server: str) -> None:
        """End the series of a server that is no longer configured."""
        self._hooks = {name: hooks for name, hooks in self._hooks.items() if name != server}
        self._cells = {cell: found for cell, found in self._cells.items() if cell[0] != server}
        forget_server(server, self._runs, self._failures, self._durations)

    def collect(self) -> Families:
        """Return all of them."""
        for metric in (self._runs, self._failures, self._durations):
            yield from metric.collect()
