"""What the collector `hooks` counts: scripts and status updates, as openvpn-mq-hook recorded them."""

import threading
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from exporter.collectors.base import Families
from exporter.collectors.servers import forget_server
from exporter.exposition.families import Metric
from exporter.openvpn.hookrecord import (
    DEFERRING_HOOKS,
    HOOK_NAMES,
    RUN_FAILURES,
    UPDATE_DROPS,
    VERDICTS,
    End,
    HookName,
    Verdict,
)
from exporter.sysv.keys import Ftok, NamedQueue
from exporter.sysv.names import QueueNames

RUNS: Final = Metric(
    "openvpn_hook_runs_total",
    "counter",
    "Scripts started, from the lines that openvpn-mq-hook writes to its record before each.",
    ("server", "hook"),
)
FAILURES: Final = Metric(
    "openvpn_hook_failures_total",
    "counter",
    "Scripts that ended badly, from the result in the record of openvpn-mq-hook; signal also if the hook itself was "
    "killed, so that its process is gone and the record has no end.",
    ("server", "hook", "reason"),
)
DURATION: Final = Metric(
    "openvpn_hook_duration_seconds",
    "histogram",
    "From start to end of the script, as openvpn-mq-hook measured it; OpenVPN served nobody else meanwhile.",
    ("server", "hook"),
)
VERDICT: Final = Metric(
    "openvpn_hook_verdict_seconds",
    "histogram",
    "Deferred answers: from start of the script to its verdict in OpenVPN's control file, as openvpn-mq-hook saw it.",
    ("server", "hook"),
)
VERDICT_RESULTS: Final = Metric(
    "openvpn_hook_verdicts_total",
    "counter",
    "Deferred answers by verdict in OpenVPN's control file, as openvpn-mq-hook saw it; undecided: OpenVPN removed the "
    "file without one.",
    ("server", "hook", "result"),
)
UPDATES: Final = Metric(
    "openvpn_status_updates_total",
    "counter",
    "Status updates that openvpn-mq-hook tried to put on the queue, from its record.",
    ("server", "queue"),
)
DROPPED: Final = Metric(
    "openvpn_status_updates_dropped_total",
    "counter",
    "Status updates that never reached the queue, by what msgget or msgsnd said, from the record of openvpn-mq-hook.",
    ("server", "queue", "reason"),
)

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_VERDICT_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_MAX_QUEUES: Final = 100  # queue labels per server; any process that can write to the record could make up more
_OTHERS: Final = "other"  # the label of the queues beyond that
_MAX_TEXT: Final = 256  # characters at which the hook cuts every text


class HookCounts:
    """The counters that live on between scrapes; label values known in advance exist at 0. Any thread may call it."""

    def __init__(self, names: QueueNames) -> None:
        self._runs, self._failures = RUNS.counter(), FAILURES.counter()
        self._durations = DURATION.histogram(_BUCKETS)
        self._verdicts, self._results = VERDICT.histogram(_VERDICT_BUCKETS), VERDICT_RESULTS.counter()
        self._updates, self._drops = UPDATES.counter(), DROPPED.counter()
        self._names = names
        self._named: Sequence[NamedQueue] = ()
        self._queues: dict[str, set[str]] = {}  # by server
        self._lock = threading.Lock()

    def configure(self, servers: Iterable[str], forget: Iterable[str], named: Sequence[NamedQueue]) -> None:
        """Have series for these servers and named queues from now on, and none for those to be forgotten."""
        with self._lock:
            for server in forget:
                del self._queues[server]
                forget_server(server, *self._metrics())
            self._named = named
            for server in servers:
                self._queues.setdefault(server, set())
                for hook in HOOK_NAMES:
                    self._runs.labels(server, hook)
                    for reason in RUN_FAILURES:
                        self._failures.labels(server, hook, reason)
                for hook in DEFERRING_HOOKS:
                    self._verdicts.labels(server, hook)
                    for result in VERDICTS:
                        self._results.labels(server, hook, result)
                for queue in named:
                    self._queue(server, queue.name)

    def started(self, server: str, hook: HookName) -> None:
        """Count a script that has started."""
        with self._lock:
            if server in self._queues:
                self._runs.labels(server, hook).inc()
                self._durations.labels(server, hook)  # so that its first observation shows as an increase

    def ended(self, server: str, end: End) -> None:
        """Count a script that has ended, and its status update."""
        hook = end.run.hook
        label = self._label(end.queue) if end.queue else None
        with self._lock:
            if server not in self._queues:
                return
            if end.failure:
                self._failures.labels(server, hook, end.failure).inc()
            if end.seconds is not None:
                self._durations.labels(server, hook).observe(end.seconds)
            if label:
                queue = self._queue(server, label)
                self._updates.labels(server, queue).inc()
                if end.drop:
                    self._drops.labels(server, queue, end.drop).inc()

    def decided(self, server: str, verdict: Verdict) -> None:
        """Count the answer of a script that had deferred it."""
        with self._lock:
            if server in self._queues:
                self._verdicts.labels(server, verdict.run.hook).observe(verdict.seconds)
                self._results.labels(server, verdict.run.hook, verdict.result).inc()

    def vanished(self, server: str, hook: HookName) -> None:
        """Count a script whose hook is gone and has written no end."""
        with self._lock:
            if server in self._queues:
                self._failures.labels(server, hook, "signal").inc()

    def collect(self) -> Families:
        """Return all of them."""
        for metric in self._metrics():
            yield from metric.collect()

    def _metrics(self) -> tuple[MetricWrapperBase, ...]:
        timed = (self._durations, self._verdicts)
        return (self._runs, self._failures, *timed, self._results, self._updates, self._drops)

    def _label(self, queue: str) -> str:
        """Return the label that `queues` uses; if ftok failed, the name that is configured for its path and id."""
        if not queue.startswith("ftok:"):
            return self._names.by_key().get(int(queue, 16), queue)
        texts = {f"ftok:{key.path}:{key.id}"[:_MAX_TEXT]: name for name, key in self._named if isinstance(key, Ftok)}
        return texts.get(queue, queue)

    def _queue(self, server: str, queue: str) -> str:
        known = self._queues[server]
        if queue not in known:
            queue = queue if len(known) < _MAX_QUEUES else _OTHERS
            known.add(queue)
            self._updates.labels(server, queue)
            for reason in UPDATE_DROPS:
                self._drops.labels(server, queue, reason)
        return queue
