"""What a collector is: one source of truth, turned into families when Prometheus asks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from prometheus_client import Metric as LibraryMetric

from exporter.exposition.families import Family, Metric

Families = Iterable[Family | LibraryMetric]

# Exported by two collectors, `management` and `status`, each for different servers.
CONNECTED_CLIENTS: Final = Metric(
    "openvpn_server_connected_clients",
    "gauge",
    "Clients that are connected: nclients of load-stats, as of the last poll and absent where that got no answer; "
    "where the server has no management address, the named clients in its status file, as old as that file's time.",
    ("server",),
)


class PartialResultError(Exception):
    """The source could not be read, or only in part; the message says what and how to mend it.

    `families` is what can be served all the same (a counter's value does not become unknown because its log
    cannot be read just now).
    """

    def __init__(self, message: str, families: Families = ()) -> None:
        super().__init__(message)
        self.families = families


class Collector(ABC):
    """Read at scrape time by `collect`; one that also watches in the background does so from `start` to `stop`."""

    @abstractmethod
    def collect(self) -> Families:
        """What the source says now. May raise anything: the runner isolates it.

        Never called twice at once. Must not wait on anything outside the kernel: sockets, children and slow
        files belong into the background.
        """

    def start(self) -> None:  # noqa: B027  # most collectors have nothing to start
        """Begin watching in the background. Called once, before the first collect."""

    def stop(self) -> None:  # noqa: B027  # likewise
        """End what `start` began, within a second. Called once, also after a failed start."""
