"""The IPv4 addresses that a server hands out: which directives bound them, and how many they are."""

import ipaddress
from typing import Final, NamedTuple

from exporter.discovery.directives import LastDirectives

MAX_POOL: Final = 65536  # addresses, however large the network is


class Pool(NamedTuple):
    """What decides how many IPv4 addresses a server can hand out; addresses as numbers."""

    first: int
    last: int
    by_server_option: bool  # `first` and `last` are then the network's own first and last address
    device_type: str  # "tun" or "tap"
    topology: str | None  # None: the default of this version


def pool_size(pool: Pool, version: tuple[int, int] | None) -> int | None:
    """Return how many addresses the pool has; None if that depends on a version that is not known."""
    topology = pool.topology
    if pool.device_type == "tap":
        topology = "subnet"
    elif topology is None:
        if version is None:
            return None
        topology = "subnet" if version >= (2, 7) else "net30"
    first, last = pool.first, pool.last
    if pool.by_server_option:
        if topology != "subnet":
            first, last = first + 4, last - (4 if last - first > 7 else 0)
        elif pool.device_type == "tap" or (version is not None and version >= (2, 6)):
            first, last = first + 2, last - 1
        elif version is not None:
            first, last = first + 2, last - 2
        else:
            return None
    size = ((last | 3) + 1 - (first & ~3)) >> 2 if topology == "net30" else last - first + 1
    return min(size, MAX_POOL) if size > 0 else None


def read_pool(last: LastDirectives) -> Pool | None:
    """Return the pool that the directives bound; None if there is none, or if it cannot be told from them."""
    device = last.argument("dev-type") or last.argument("dev")[:3]
    topology = last.argument("topology") or None
    try:
        if (arguments := last.arguments("ifconfig-pool", 2)) or (arguments := last.arguments("server-bridge", 4)[2:]):
            start, end = (int(ipaddress.IPv4Address(text)) for text in arguments[:2])
            return Pool(start, end, False, device, topology)
        if (arguments := last.arguments("server", 2)) and "nopool" not in arguments:
            network = ipaddress.IPv4Network("/".join(arguments[:2]))
            edges = int(network.network_address), int(network.broadcast_address)
            return Pool(*edges, True, device, topology)
    except ValueError:
        pass  # OpenVPN would not have started with it; or it is a name, which OpenVPN looked up
    return None
