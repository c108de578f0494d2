"""Which server of the configuration an OpenVPN process is."""

from collections.abc import Iterable, Sequence

from exporter.config.model import OpenVpnServer
from exporter.discovery.instance import Instance
from exporter.discovery.servers import is_same


def match(instances: Sequence[Instance], servers: Sequence[OpenVpnServer]) -> dict[int, str]:
    """Return the server's name for each pid that one of the servers can be found for.

    A server is told by what it shares with the process: unit, log, status file or management address; else by its name,
    which is that of the configuration file; else, if there is one server and one process, they are each other's.
    """
    named: dict[int, str] = {}
    for instance in instances:
        name = _first(server.name for server in servers if is_same(instance, server)) or _first(
            server.name for server in servers if server.name == instance.name
        )
        if name:
            named[instance.process.pid] = name
    if not named and len(instances) == len(servers) == 1:
        named[instances[0].process.pid] = servers[0].name
    return named


def _first(names: Iterable[str]) -> str | None:
    return next(iter(names), None)
