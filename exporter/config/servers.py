"""Read the OpenVPN servers of the configuration: the log, record, management address and status file of each."""

import os
import re
from pathlib import Path
from typing import Final

import yaml

from exporter.config.checks import check_pair, check_server
from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.config.yamlnode import boolean, complain, duration, integer, mapping, sequence, string

_MAX_SOCKET_PATH: Final = 107  # bytes: sun_path of unix(7), with its NUL
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|scope|slice)")


def read_servers(node: yaml.Node) -> tuple[OpenVpnServer, ...]:
    """Read the list `servers`. Raise BadInputError."""
    servers: dict[str, OpenVpnServer] = {}
    for item, server in sequence(node, "servers", lambda item: (item, _server(item))):
        if server.name in servers:
            raise complain(item, f"the server name {server.name!r} is given twice")
        for other in servers.values():
            check_pair(item, server, other)
        servers[server.name] = server
    return tuple(servers.values())


def _server(node: yaml.Node) -> OpenVpnServer:
    readers = {
        "name": string,
        "log": _path,
        "journal": _unit,
        "hooks": _path,
        "management": _management,
        "management_password_file": _path,
        "management_interval": _interval,
        "management_timeout": _timeout,
        "per_client": boolean,
        "max_clients": _positive,
        "status": _path,
        "status_interval": _interval,
        "syslog_tag": string,
    }
    values = mapping(node, "an item of servers", readers, required=("name",))
    server = OpenVpnServer(**values)
    check_server(node, server, values)
    return server


def _path(node: yaml.Node) -> Path:
    path = Path(string(node))
    if not path.is_absolute():
        raise complain(node, f"{str(path)!r} is not an absolute path; begin it with a slash")
    if "*" in path.name:
        raise complain(node, f"{str(path)!r} is a pattern; give the path of one file")
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


def _interval(node: yaml.Node) -> float:
    return _at_least(1.0, "1s", node)


def _timeout(node: yaml.Node) -> float:
    return _at_least(0.1, "100ms", node)


def _at_least(least: float, text: str, node: yaml.Node) -> float:
    seconds = duration(node)
    if seconds < least:
        raise complain(node, f"{string(node)} is too short; give {text} or more")
    return seconds


def _management(node: yaml.Node) -> UnixAddress | TcpAddress:
    text = string(node)
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        if len(os.fsencode(rest)) > _MAX_SOCKET_PATH:
            raise complain(node, f"the path of a socket can have {_MAX_SOCKET_PATH} bytes at most; {rest} is longer")
        return UnixAddress(rest)
    host, _, port = rest.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    known_host = re.fullmatch(r"[A-Za-z0-9:.%_-]{1,255}", bare) and (":" not in bare or bare != host)
    if kind == "tcp" and known_host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536:
        return TcpAddress(bare, int(port))
    raise complain(
        node, f"{text!r} is not a management address; write unix:/run/openvpn/server.sock or tcp:127.0.0.1:7505"
    )
