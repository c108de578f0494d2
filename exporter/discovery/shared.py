"""Sources that two instances write to, so that nobody can tell whose a line is."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from exporter.discovery.access import Access, Kind
from exporter.discovery.instance import Instance

# Hook records can be shared: each line in them names its server.
_REMEDIES: Final[Mapping[Kind, str]] = {
    "log": "give each its own log",
    "journal": "give each its own log",
    "status": "give each its own status file",
    "management": "give each its own address",
}


def mark_shared(
    instances: Sequence[Instance], accesses: Mapping[str, tuple[Access, ...]]
) -> dict[str, tuple[Access, ...]]:
    """Return the accesses, where a source that several instances have in common is unusable for each of them."""
    users: defaultdict[tuple[Kind, str], list[str]] = defaultdict(list)
    for instance in instances:
        for key in {_key(access) for access in accesses[instance.name]}:
            users[key].append(instance.name)

    def judged(name: str, access: Access) -> Access:
        others = [other for other in users[_key(access)] if other != name]
        remedy = _REMEDIES.get(access.source.kind)
        if not others or remedy is None:
            return access
        return Access(access.source, "unusable", f"it is also that of OpenVPN {', '.join(others)}: {remedy}")

    return {name: tuple(judged(name, access) for access in every) for name, every in accesses.items()}


def _key(access: Access) -> tuple[Kind, str]:
    source = access.source
    path = source.path if source.path and source.kind != "journal" else source.name
    return source.kind, os.path.normpath(path)
