"""Servers that come and go while the exporter runs: what is new, what goes on, what is gone."""

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from prometheus_client.metrics import MetricWrapperBase

from exporter.config.model import Config, OpenVpnServer

T = TypeVar("T")


class Change(NamedTuple, Generic[T]):
    """What an update of a ServerSet added and dropped, by server name; a server that was changed is in both."""

    added: dict[str, T]
    dropped: dict[str, T]


class ServerSet(Generic[T]):
    """One watcher per server that a collector watches; a watcher stays as long as its server is configured as it is.

    The mapping `watchers` is replaced as a whole, so any thread may read it during an update.
    """

    def __init__(self, relevant: Callable[[OpenVpnServer], Hashable], make: Callable[[OpenVpnServer], T]) -> None:
        """`relevant` returns what a watcher depends on, None if the server is not to be watched; `make` makes one."""
        self._relevant = relevant
        self._make = make
        self._keys: dict[str, Hashable] = {}
        self.watchers: Mapping[str, T] = MappingProxyType({})  # by server name, in the configuration's order

    def update(self, config: Config) -> Change[T]:
        """Adopt the servers of a configuration. Not to be called twice at once."""
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


def forget_server(server: str, *metrics: MetricWrapperBase) -> None:
    """Remove a server's series from counters and histograms whose first label is `server`."""
    for metric in metrics:
        samples = (sample for family in metric.collect() for sample in family.samples)
        rows = {tuple(value for name, value in sample.labels.items() if name != "le") for sample in samples}
        for row in rows:
            if row[0] == server:
                metric.remove(*row)
