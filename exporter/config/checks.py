"""Check the servers of a configuration: options that have no effect, sources that two servers cannot share."""

import os
from collections.abc import Callable, Iterable
from typing import Final

import yaml

from exporter.config.model import OpenVpnServer, TcpAddress
from exporter.config.yamlnode import complain

_NEEDS: Final = {
    "management_password_file": "management",
    "management_interval": "management",
    "management_timeout": "management",
    "per_client": "management",
    "max_clients": "management",
    "status_interval": "status",
    "syslog_tag": "log",
}


def check_server(node: yaml.Node, server: OpenVpnServer, given: Iterable[str]) -> None:
    """Check one server; `given` are the keys that the configuration has for it. Raise BadInputError."""
    keys = set(given)
    if keys <= {"name"}:
        raise complain(
            node, f"server {server.name!r} has nothing to watch; give its log, journal, hooks, management or status"
        )
    if server.log and server.journal:
        raise complain(node, f"server {server.name!r} has both log and journal; give the one that OpenVPN writes to")
    for key, needed in _NEEDS.items():
        if key in keys and needed not in keys:
            raise complain(node, f"server {server.name!r} has {key}, which needs {needed}; give it, or leave out {key}")


def check_pair(node: yaml.Node, server: OpenVpnServer, other: OpenVpnServer) -> None:
    """Check a server against one that comes before it; `node` is the later one's. Raise BadInputError."""
    for what, source, remedy in _EXCLUSIVE:
        mine = source(server)
        if mine is not None and mine == source(other):
            raise complain(node, f"servers {other.name!r} and {server.name!r} have the same {what}: {mine}; {remedy}")
    _check_log(node, server, other)


def _check_log(node: yaml.Node, server: OpenVpnServer, other: OpenVpnServer) -> None:
    """Check that each line of a log counts for one server only."""
    if not server.log or not other.log or os.path.normpath(server.log) != os.path.normpath(other.log):
        return
    same = f"servers {other.name!r} and {server.name!r} have the same log"
    if not (server.syslog_tag and other.syslog_tag):
        remedy = (
            "give each one's syslog_tag (the word before [pid]: in its lines), or let them write to different files"
        )
        raise complain(node, f"{same}; {remedy}")
    if server.syslog_tag == other.syslog_tag:
        raise complain(node, f"{same} and syslog_tag; give each its own, as OpenVPN's option syslog does")


def _management(server: OpenVpnServer) -> str | None:
    address = server.management
    if isinstance(address, TcpAddress):
        return f"{address.host.lower()}:{address.port}"
    return os.path.normpath(address.path) if address else None


def _status(server: OpenVpnServer) -> str | None:
    return os.path.normpath(server.status) if server.status else None


# What only one server can have, by the server's name for it. Hook records can be shared: each line names its server.
_EXCLUSIVE: Final[tuple[tuple[str, Callable[[OpenVpnServer], str | None], str], ...]] = (
    ("management address", _management, "each OpenVPN process listens on its own"),
    ("status file", _status, "let each OpenVPN process write its own"),
    ("journal unit", lambda server: server.journal, "each OpenVPN process has its own"),
)
