"""What one look at the host found."""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.config.model import OpenVpnServer
from exporter.discovery.access import KINDS, Access, Kind
from exporter.discovery.expiry import Expiry
from exporter.discovery.instance import Instance


class Found(NamedTuple):
    """What one look found. `servers` are those that the collectors are to watch, the ones in `ended` among them."""

    instances: tuple[Instance, ...] = ()
    accesses: Mapping[str, tuple[Access, ...]] = {}
    expiries: tuple[Expiry, ...] = ()
    servers: tuple[OpenVpnServer, ...] = ()
    ended: tuple[str, ...] = ()  # names of servers that ran less than an hour ago
    unwatched: int = 0  # servers that are too many
    problem: str | None = None  # why there may be more than was found

    def unreadable(self, name: str) -> dict[Kind, int]:
        """Return how many files of each kind cannot be read, of the instance of this name."""
        kinds = [access.source.kind for access in self.accesses[name] if access.is_unreadable]
        return {kind: kinds.count(kind) for kind in KINDS}
