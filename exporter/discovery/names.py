"""A name for each instance: the one that its administrator would use, unique, and the same after a restart."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.discovery.options import OpenVpnOptions, Script
from exporter.discovery.paths import readable
from exporter.discovery.processes import Process
from exporter.discovery.units import instance_of
from exporter.discovery.wrapped import wrapped
from exporter.hook.event import server_of

_MAX_REMEMBERED: Final = 1000
_MAX_LENGTH: Final = 100


class Claim(NamedTuple):
    """One instance that wants a name: `identity` outlives its process, `wishes` begin with what it would like best."""

    identity: tuple[str, ...]
    wishes: tuple[str, ...]


class Names:
    """Gives names out, and keeps them while an instance runs, whoever comes later."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], str] = {}

    def assign(self, claims: Sequence[Claim]) -> list[str]:
        """Return a name for each claim, all different.

        Who had a name keeps it; the others choose in the order of their identities, which no restart changes.
        """
        numbered: list[tuple[str, ...]] = []
        for claim in claims:
            same = sum(identity[:-1] == claim.identity for identity in numbered)
            numbered.append((*claim.identity, str(same)))
        names: dict[tuple[str, ...], str] = {}
        for identity in numbered:
            if identity in self._held and self._held[identity] not in names.values():
                names[identity] = self._held[identity]
        taken = set(names.values())
        for identity, claim in sorted(zip(numbered, claims, strict=True)):
            if identity not in names:
                names[identity] = _free(claim.wishes, taken)
                taken.add(names[identity])
        remembered = {identity: name for identity, name in self._held.items() if identity not in names}
        self._held = dict([*remembered.items(), *names.items()][-_MAX_REMEMBERED:])
        return [names[identity] for identity in numbered]


def claim(process: Process, options: OpenVpnOptions) -> Claim:
    """Return what a process would like to be called: as openvpn-mq-hook calls it in its record, if it can."""
    base = _base(process, options)
    wishes = [base]
    if options.config:
        wishes.append(f"{options.config.parent.name}/{base}")
    wishes += [f"{base}:{given}" for given in (options.port, options.device) if given]
    identity = (str(options.config or ""), process.cgroup.unit or "", *process.argv)
    # Servers choose before clients.
    rank = "0" if options.mode == "server" else "1"
    return Claim((rank, *identity), tuple(readable(wish)[:_MAX_LENGTH] for wish in wishes))


def _base(process: Process, options: OpenVpnOptions) -> str:
    told = {name for script in options.scripts if (name := _told(script))}
    if len(told) == 1:
        return told.pop()
    if options.config:
        return server_of({"config": str(options.config)})
    tag = options.syslog_tag if options.syslog_tag != "openvpn" else None
    unit = process.cgroup.unit or ""
    own_unit = unit.endswith(".service") and not process.cgroup.container and unit.startswith("openvpn")
    return (own_unit and (instance_of(unit) or unit.removesuffix(".service"))) or tag or options.device or "openvpn"


def _told(script: Script) -> str | None:
    wrapper = wrapped(script)
    return wrapper.server if wrapper else None


def _free(wishes: Sequence[str], taken: set[str]) -> str:
    for wish in wishes:
        if wish not in taken:
            return wish
    number = 2
    while f"{wishes[0]}#{number}" in taken:
        number += 1
    return f"{wishes[0]}#{number}"
