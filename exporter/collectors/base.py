"""What a collector is: one source of truth, turned into families when Prometheus asks."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from prometheus_client import Metric as LibraryMetric

from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.config.model import Config
from exporter.exposition.families import Family, Metric

Families = Iterable[Family | LibraryMetric]

# Exported by two collectors, `management` and `status`, each for different servers.
CONNECTED_CLIENTS: Final = Metric(
    "openvpn_server_connected_clients",
    "gauge",
    "Clients that are connected: nclients of load-stats, as of the last poll and absent if that got no answer; "
    "if the server has no management address, the named clients in its status file, as old as that file's time.",
    ("server",),
)


class PartialResultError(Exception):
    """The source could not be read, or only in part; the message says what and how to fix it.

    `families` is what can be served all the same (a counter's value does not become unknown because its log
    cannot be read just now).
    """

    def __init__(self, message: str, families: Families = ()) -> None:
        super().__init__(message)
        self.families = families


class Collector(ABC):
    """Read by `collect` when Prometheus asks; what happens in between is watched from `start` to `stop`."""

    @abstractmethod
    def collect(self, scrape: Scrape) -> Families:
        """Return what the source holds now. May raise anything: the runner isolates it.

        Never called twice at once. Must not wait on anything outside the kernel: sockets, child processes and files on
        slow file systems belong in the background.
        """

    @property
    def active(self) -> bool:
        """Whether there is anything to collect; the runner skips a collector that is not active."""
        return True

    def start(self) -> None:  # noqa: B027  # most collectors have nothing to start
        """Start to watch in the background. Called once, before the first collect."""

    def stop(self) -> None:  # noqa: B027  # likewise
        """End what `start` began, within a second. Called once, also after a start that failed."""

    def reconfigure(self, config: Config) -> None:  # noqa: B027  # most collectors read nothing of the file
        """Adopt a new configuration while running: a reload, or servers that discovery found.

        Called from any thread, never twice at once, perhaps during a collect. Counters of what is configured as before
        go on; the series of what is gone vanish.
        """


class Flags(NamedTuple):
    """The command line flags of one collector."""

    add: Callable[[argparse._ArgumentGroup], None]  # argparse has no public name for a group
    read: Callable[[argparse.Namespace], object]  # the collector's settings, which Settings.of finds by their type


class CollectorSpec(NamedTuple):
    """A row of the registry; declared as SPEC by the collector's own module."""

    name: str  # of --collector.NAME and of the label `collector`
    default: bool
    build: Callable[[BuildContext], Collector | None]  # None: there is nothing to read, for good
    summary: str  # for --help
    flags: Flags | None = None
