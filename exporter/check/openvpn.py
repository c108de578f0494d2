"""The OpenVPN instances of the host, and how a user fares with their files."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from exporter.check.remedies import remedies
from exporter.check.report import OpenVpn
from exporter.check.rights import Identity, identity, try_as
from exporter.config.model import Config
from exporter.discovery.access import Access, Source, sources
from exporter.discovery.finder import Finder
from exporter.discovery.found import Found
from exporter.discovery.watch import Discovery


class OpenVpnLooker:
    """What stays the same from look to look."""

    def __init__(self, procfs: Path, config: Config | None, user: str | None) -> None:
        """`user`: whose rights to try; None: the exporter's user. Raise BadInputError if there is no such user."""
        self._who = identity(user, procfs)
        config = config or Config()
        self._polled = config.discovery.management
        self._discovery = Discovery(Finder(procfs), config, enabled=True)

    def look(self) -> OpenVpn:
        """Look once."""
        self._discovery.look()
        found = self._discovery.found or Found()
        accesses = _accesses(self._who, found, polled=self._polled)
        return OpenVpn(
            self._who.name,
            self._who.service is not None,
            found.instances,
            accesses,
            found.expiries,
            {name: remedies(self._who, tried) for name, tried in accesses.items()},
            found.problem,
        )


def _accesses(who: Identity, found: Found, *, polled: bool) -> dict[str, tuple[Access, ...]]:
    """Return how the user fares with everything that is known of each instance; what nobody can read comes first."""
    wanted: dict[str, list[Source]] = {}
    unusable: dict[str, list[Access]] = {}
    for instance in found.instances:
        own = found.accesses[instance.name]
        unusable[instance.name] = [access for access in own if access.verdict == "unusable"]
        broken = {access.source.name for access in unusable[instance.name]}
        denied = (access.source for access in own if access.verdict == "denied")
        known = (source for source in sources(instance, polled=polled) if source.name not in broken)
        wanted[instance.name] = list(dict.fromkeys(chain(denied, known)))
    tried: Iterator[Access] = iter(try_as(who, [source for every in wanted.values() for source in every]))
    return {name: (*unusable[name], *(next(tried) for _ in every)) for name, every in wanted.items()}
