"""The OpenVPN servers of the configuration: where each one's log, records, management and status file are."""

import os
import re
from pathlib import Path
from typing import Final

import yaml

from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.config.yamlnode import boolean, complain, duration, integer, mapping, sequence, string

_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|scope|slice)")


def read_servers(node: yaml.Node) -> tuple[OpenVpnServer, ...]:
    """Read the list `servers`. Raise BadInputError."""
    servers: dict[str, OpenVpnServer] = {}
    for item, server in sequence(node, "servers", lambda item: (item, _server(item))):
        if server.name in servers:
            raise complain(item, f"the server name {server.name!r} is given twice")
        for other in servers.values():
            _refuse_shared_log(item, server, other)
        servers[server.name] = server
    return tuple(servers.values())


def _server(node: yaml.Node) -> OpenVpnServer:
    server = OpenVpnServer(
        **mapping(
            node,
            "an item of servers",
            {
                "name": string,
                "log": _path,
                "journal": _unit,
                "hooks": _path,
                "management": _management,
                "management_password_file": _path,
                "management_interval": duration,
                "management_timeout": duration,
                "per_client": boolean,
                "max_clients": _positive,
                "status": _path,
                "status_interval": duration,
                "syslog_tag": string,
            },
            required=("name",),
        )
    )
    if server.log and server.journal:
        raise complain(node, f"server {server.name!r} has both log and journal; give the one that OpenVPN writes to")
    if server.syslog_tag and not server.log:
        raise complain(node, f"server {server.name!r} has syslog_tag, which needs log: it selects the log's lines")
    if server.per_client and not server.management:
        raise complain(node, f"server {server.name!r} has per_client, which needs management: clients are asked there")
    return server


def _refuse_shared_log(item: yaml.Node, server: OpenVpnServer, other: OpenVpnServer) -> None:
    """Each line must count for one server only."""
    if server.journal and server.journal == other.journal:
        raise complain(item, f"servers {other.name!r} and {server.name!r} have the same journal unit")
    if server.log and other.log and os.path.normpath(server.log) == os.path.normpath(other.log):
        if not (server.syslog_tag and other.syslog_tag):
            raise complain(
                item,
                f"servers {other.name!r} and {server.name!r} have the same log; give each one's syslog_tag "
                "(the word before [pid]: in its lines), or let them write to different files",
            )
        if server.syslog_tag == other.syslog_tag:
            raise complain(item, f"servers {other.name!r} and {server.name!r} have the same log and syslog_tag")


def _path(node: yaml.Node) -> Path:
    path = Path(string(node))
    if not path.is_absolute():
        raise complain(node, f"{str(path)!r} is not an absolute path; begin it with a slash")
    return path


def _unit(node: yaml.Node) -> str:
    unit = string(node)
    if not _UNIT.fullmatch(unit):
        raise complain(node, f"{unit!r} is not a systemd unit; write it in full, as openvpn-server@server.service")
    return unit


def _positive(node: yaml.Node) -> int:
    number = integer(node)
    if number < 1:
        raise complain(node, "expected a whole number of at least 1")
    return number


def _management(node: yaml.Node) -> UnixAddress | TcpAddress:
    text = string(node)
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return UnixAddress(rest)
    host, _, port = rest.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    known_host = re.fullmatch(r"[A-Za-z0-9:.%_-]{1,255}", bare) and (":" not in bare or bare != host)
    if kind == "tcp" and known_host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536:
        return TcpAddress(bare, int(port))
    raise complain(
        node, f"{text!r} is not a management address; write unix:/run/openvpn/server.sock or tcp:127.0.0.1:7505"
    )
