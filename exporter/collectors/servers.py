"""Servers that come and go while the exporter runs: what is new, what goes on, what is gone."""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar

from prometheus_client.metrics import MetricWrapperBase

from exporter.background import STOP_WITHIN
from exporter.collectors.base import Collector
from exporter.config.model import Config, OpenVpnServer


class Watcher(Protocol):
    """Watches one server in a background thread of its own."""

    @property
    def fault(self) -> str | None:
        """Return why it cannot watch, in one sentence that names the server; None while all is well."""

    def start(self) -> None:
        """Start the thread. Raise RuntimeError if the system allows no further thread."""

    def request_stop(self) -> None:
        """Ask the thread to stop, without waiting for it."""

    def stop(self, within: float) -> None:
        """Stop the thread, within so many seconds."""


W = TypeVar("W", bound=Watcher)


class Change(NamedTuple, Generic[W]):
    """What an update of a ServerSet added and dropped, by server name; a server that was changed is in both."""

    added: dict[str, W]
    dropped: dict[str, W]


class ServerSet(Generic[W]):
    """One watcher per server that a collector watches; a watcher stays as long as its server is configured as it is.

    The mapping `watchers` is replaced as a whole, so any thread may read it during an update.
    """

    def __init__(self, relevant: Callable[[OpenVpnServer], Hashable], make: Callable[[OpenVpnServer], W]) -> None:
        """`relevant` returns what a watcher depends on, None if the server is not to be watched; `make` makes one."""
        self._relevant = relevant
        self._make = make
        self._keys: dict[str, Hashable] = {}
        self._runs = False  # between start and stop
        self._not_started: dict[str, str] = {}  # servers whose watcher has no thread, and why
        self.watchers: Mapping[str, W] = MappingProxyType({})  # by server name, in the configuration's order

    @property
    def faults(self) -> list[str]:
        """Return why servers cannot be watched, one sentence each."""
        faults = (watcher.fault for watcher in self.watchers.values())
        return [*self._not_started.values(), *(fault for fault in faults if fault)]

    def start(self) -> None:
        """Start every watcher, and from now on those that an update adds."""
        self._runs = True
        self._start(self.watchers)

    def stop(self) -> None:
        """Stop every watcher, within a second."""
        self._runs = False
        _stop(self.watchers.values())

    def update(self, config: Config) -> Change[W]:
        """Adopt the servers of a configuration; `switch` then stops and starts watchers. Never called twice at once."""
        keys = {server.name: key for server in config.servers if (key := self._relevant(server)) is not None}
        kept = {name for name, key in keys.items() if self._keys.get(name) == key}
        added = {
            server.name: self._make(server)
            for server in config.servers
            if server.name in keys and server.name not in kept
        }
        dropped = {name: watcher for name, watcher in self.watchers.items() if name not in kept}
        self.watchers = MappingProxyType({name: added[name] if name in added else self.watchers[name] for name in keys})
        self._keys = keys
        return Change(added, dropped)

    def switch(self, change: Change[W]) -> None:
        """Stop the watchers that were dropped; start those that were added, if the others run."""
        _stop(change.dropped.values())
        self._not_started = {name: why for name, why in self._not_started.items() if name not in change.dropped}
        if self._runs:
            self._start(change.added)

    def _start(self, watchers: Mapping[str, W]) -> None:
        for name, watcher in watchers.items():
            try:
                watcher.start()
            except RuntimeError as error:  # TasksMax= is used up
                self._not_started[name] = f"server {name} cannot be watched: {error}"


class WatchingCollector(Collector, Generic[W]):
    """A collector with a watcher per server in the background; --once starts none, so that `collect` has to look."""

    def __init__(self, servers: ServerSet[W], *, once: bool) -> None:
        self._servers = servers
        self._once = once

    @property
    def active(self) -> bool:
        """Whether there is a server to watch."""
        return bool(self._servers.watchers)

    def start(self) -> None:
        """Start the watchers."""
        if not self._once:
            self._servers.start()

    def stop(self) -> None:
        """Stop the watchers, within a second."""
        self._servers.stop()


def _stop(watchers: Iterable[Watcher]) -> None:
    deadline = time.monotonic() + STOP_WITHIN
    for watcher in watchers:
        watcher.request_stop()
    for watcher in watchers:
        watcher.stop(max(0.0, deadline - time.monotonic()))


def forget_server(server: str, *metrics: MetricWrapperBase) -> None:
    """Remove a server's series from counters and histograms whose first label is `server`."""
    for metric in metrics:
        samples = (sample for family in metric.collect() for sample in family.samples)
        rows = {tuple(value for name, value in sample.labels.items() if name != "le") for sample in samples}
        for row in rows:
            if row[0] == server:
                metric.remove(*row)
