"""Instances as servers for the collectors, and the names that the configuration gives to them."""

import os
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.discovery.access import Access, Kind
from exporter.discovery.instance import Instance

_POLLING: Final[frozenset[Kind]] = frozenset({"management", "password"})  # what polling needs
_LOCAL: Final = re.compile(r"localhost|127\.[0-9.]+|::1")

# Servers that are watched at once: each takes two or three threads and some 8 KB of the page, and any user can start
# processes named openvpn.
MOST: Final = 100


def most_trusted(servers: Sequence[OpenVpnServer], in_services: AbstractSet[str]) -> list[OpenVpnServer]:
    """Return up to MOST of these: first services of the system's, named here, which users cannot start."""
    return sorted(servers, key=lambda server: server.name not in in_services)[:MOST]


def to_server(
    instance: Instance, accesses: Sequence[Access], previous: OpenVpnServer | None, *, management: bool
) -> OpenVpnServer:
    """Return what the collectors are to watch: whatever is there and can be read, or is not there yet.

    What `previous` had is kept even if it can no longer be read, so that its collector reports that. With `management`
    the management interface is polled too, unless its client has a part to play.
    """
    denied = {access.source.kind for access in accesses if access.is_unreadable}

    def readable(kind: Kind, path: Path | None, before: Path | None) -> Path | None:
        return path if kind not in denied or path == before else None

    polled = instance.options.management if management else None
    pollable = polled is not None and not polled.part and not _leads_astray(instance) and denied.isdisjoint(_POLLING)
    password = polled.password_file if polled and pollable else None
    records = instance.records
    known = previous or OpenVpnServer(instance.name)
    return OpenVpnServer(
        instance.name,
        log=readable("log", instance.log, known.log),
        journal=instance.journal if "journal" not in denied else known.journal,
        hooks=readable("hooks", records[0] if records else None, known.hooks),
        management=instance.management if pollable else None,
        management_password_file=instance.outside(password),
        status=readable("status", instance.status, known.status) if instance.mode == "server" else None,
        status_interval=float(instance.options.status_interval),
        script_hooks=instance.script_hooks,
    )


def _leads_astray(instance: Instance) -> bool:
    """Return whether its management address means the container that it is in, and from here the host."""
    address = instance.management
    return (
        instance.process.cgroup.container
        and isinstance(address, TcpAddress)
        and _LOCAL.fullmatch(address.host) is not None
    )


def named_as_configured(instances: Sequence[Instance], servers: Sequence[OpenVpnServer]) -> list[Instance]:
    """Return the instances under the names that the configuration has for them, still all different."""
    given: dict[int, str] = {}
    for place, instance in enumerate(instances):
        name = next(
            (server.name for server in servers if server.name not in given.values() and is_same(instance, server)), None
        )
        if name is not None:
            given[place] = name
    taken = {server.name for server in servers} | set(given.values())
    named = []
    for place, instance in enumerate(instances):
        name = given.get(place, instance.name)
        while place not in given and name in taken:
            name += "'"
        taken.add(name)
        named.append(replace(instance, name=name))
    return named


def is_same(instance: Instance, server: OpenVpnServer) -> bool:
    """Return whether the configuration means this instance: by anything that no two instances share."""

    def same(configured: Path | None, own: Path | None) -> bool:
        if configured is None or own is None:
            return False
        # Through a container's root, a link would lead to a file of the host.
        resolve = os.path.normpath if instance.process.cgroup.container else os.path.realpath
        return resolve(configured) == resolve(own)

    return (
        (server.management is not None and server.management == instance.management)
        or same(_socket(server.management), _socket(instance.management))
        or same(server.status, instance.status)
        or same(server.log, instance.log)
        or (server.journal is not None and server.journal == instance.unit)
    )


def _socket(address: UnixAddress | TcpAddress | None) -> Path | None:
    return Path(address.path) if isinstance(address, UnixAddress) else None
