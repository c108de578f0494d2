"""What the collector `hooks` counts: scripts and status updates, as openvpn-mq-hook recorded them."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from exporter.collectors.base import Families
from exporter.collectors.hooks_families import (
    DROPPED,
    DURATION,
    FAILURES,
    RUNS,
    UPDATES,
    VERDICT,
    VERDICT_RESULTS,
)
from exporter.collectors.servers import forget_server
from exporter.openvpn.hookrecord import (
    DEFERRING_HOOKS,
    RUN_FAILURES,
    UPDATE_DROPS,
    VERDICTS,
    End,
    HookName,
    Verdict,
    possible_hooks,
)
from exporter.sysv.keys import OTHERS, Ftok, NamedQueue
from exporter.sysv.names import QueueNames

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_VERDICT_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_MAX_QUEUES: Final = 100  # queue labels per server; any process that can write to the record could make up more
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
        self._hooks: dict[str, set[HookName]] = {}  # whose counters exist, by server
        self._used: dict[str, set[HookName]] = {}  # those of them whose scripts were seen
        self._queues: dict[str, set[str]] = {}  # by server
        self._lock = threading.Lock()

    def configure(
        self, servers: Mapping[str, frozenset[str] | None], forget: Iterable[str], named: Sequence[NamedQueue]
    ) -> None:
        """Have series for these servers and named queues from now on, and none for those to be forgotten.

        A server has them for the hooks at which it runs scripts (None: at any), and for each whose script has started.
        """
        with self._lock:
            for server in forget:
                del self._queues[server], self._hooks[server], self._used[server]
                forget_server(server, *self._metrics())
            renamed = {queue.name for queue in self._named} - {queue.name for queue in named}
            self._named = named
            for server, hooks in servers.items():
                for queue_name in self._queues.setdefault(server, set()) & renamed:
                    self._drop_queue(server, queue_name)
                used = self._used.setdefault(server, set())
                possible = possible_hooks(hooks)
                for hook in self._hooks.setdefault(server, set()) - used - set(possible):
                    self._drop(server, hook)
                for hook in possible:
                    self._expect(server, hook)
                for queue in named:
                    self._queue(server, queue.name)

    def started(self, server: str, hook: HookName) -> None:
        """Count a script that has started."""
        with self._lock:
            if server in self._queues:
                self._use(server, hook)
                self._runs.labels(server, hook).inc()
                self._durations.labels(server, hook)  # so that its first observation shows as an increase

    def ended(self, server: str, end: End) -> None:
        """Count a script that has ended, and its status update."""
        hook = end.run.hook
        label = self._label(end.queue) if end.queue else None
        with self._lock:
            if server not in self._queues:
                return
            self._use(server, hook)
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
                self._use(server, verdict.run.hook)
                self._verdicts.labels(server, verdict.run.hook).observe(verdict.seconds)
                self._results.labels(server, verdict.run.hook, verdict.result).inc()

    def vanished(self, server: str, hook: HookName) -> None:
        """Count a script whose hook is gone and has written no end."""
        with self._lock:
            if server in self._queues:
                self._use(server, hook)
                self._failures.labels(server, hook, "signal").inc()

    def hooks(self, server: str) -> list[HookName]:
        """Return the hooks that have counters."""
        with self._lock:
            return sorted(self._hooks.get(server, ()))

    def collect(self) -> Families:
        """Return all of them."""
        for metric in self._metrics():
            yield from metric.collect()

    def _metrics(self) -> tuple[MetricWrapperBase, ...]:
        timed = (self._durations, self._verdicts)
        return (self._runs, self._failures, *timed, self._results, self._updates, self._drops)

    def _series(self, server: str, hook: HookName) -> Iterator[tuple[MetricWrapperBase, tuple[str, ...]]]:
        """Yield the counters of a hook that exist before its first script, each with its labels."""
        yield self._runs, (server, hook)
        for reason in RUN_FAILURES:
            yield self._failures, (server, hook, reason)
        if hook in DEFERRING_HOOKS:
            yield self._verdicts, (server, hook)
            for result in VERDICTS:
                yield self._results, (server, hook, result)

    def _expect(self, server: str, hook: HookName) -> None:
        """Let the counters of a hook begin at 0."""
        if hook not in self._hooks[server]:
            self._hooks[server].add(hook)
            for metric, labels in self._series(server, hook):
                metric.labels(*labels)

    def _drop(self, server: str, hook: HookName) -> None:
        """Remove the counters of a hook, all of which are 0."""
        self._hooks[server].remove(hook)
        for metric, labels in self._series(server, hook):
            metric.remove(*labels)

    def _drop_queue(self, server: str, queue: str) -> None:
        """Remove the counters of a queue name that is no longer configured."""
        self._queues[server].remove(queue)
        self._updates.remove(server, queue)
        for reason in UPDATE_DROPS:
            self._drops.remove(server, queue, reason)

    def _use(self, server: str, hook: HookName) -> None:
        self._expect(server, hook)
        self._used[server].add(hook)

    def _label(self, queue: str) -> str:
        """Return the label that `queues` uses; if ftok failed, the name that is configured for its path and id."""
        if not queue.startswith("ftok:"):
            return self._names.by_key().get(int(queue, 16), queue)
        texts = {f"ftok:{key.path}:{key.id}"[:_MAX_TEXT]: name for name, key in self._named if isinstance(key, Ftok)}
        return texts.get(queue, queue)

    def _queue(self, server: str, queue: str) -> str:
        known = self._queues[server]
        if queue not in known:
            queue = queue if len(known) < _MAX_QUEUES else OTHERS
            known.add(queue)
            self._updates.labels(server, queue)
            for reason in UPDATE_DROPS:
                self._drops.labels(server, queue, reason)
        return queue
