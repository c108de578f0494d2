"""The commands, for root, that let a user read what it cannot."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Final, NamedTuple

from exporter.check.grant import DROP_IN
from exporter.check.rights import OLD, Identity, way
from exporter.discovery.access import HOMES, Access
from exporter.sysv.ids import group_name, user_name

TMPFILES: Final = "/etc/tmpfiles.d/openvpn-mq-exporter-access.conf"

_VOLATILE: Final = (Path("/run"), Path("/var/run"))  # empty after a reboot, so that a chmod would not last
_HOMES: Final = (Path("/root"), Path("/home"))  # nobody else has any business there: move the file


class _Closed(NamedTuple):
    """A file or folder on the way that does not let the user through."""

    path: Path
    found: os.stat_result
    bit: int  # 4 read, 2 write, 1 search

    @property
    def letter(self) -> str:
        return {4: "r", 2: "w", 1: "x"}[self.bit]


def remedies(
    who: Identity, tried: Sequence[Access], look: Callable[[Path], os.stat_result] = os.stat
) -> tuple[str, ...]:
    """Return the commands for what is denied or hidden; `look` is stat(2), which raises OSError."""
    commands: dict[str, None] = {}
    volatile: dict[str, None] = {}
    is_old = False
    for access in tried:
        source = access.source
        if access.verdict == "hidden":
            is_old |= access.reason == OLD
            if access.reason != OLD and not source.name.startswith(HOMES):
                commands[f"mkdir -p {os.path.dirname(DROP_IN)}"] = None
                commands[f"openvpn-mq-check --access > {DROP_IN}"] = None
                commands["systemctl daemon-reload"] = None
        if access.verdict != "denied":
            continue
        if source.kind == "journal":
            commands[f"usermod -aG systemd-journal {quote(who.name)}"] = None
        elif source.path and str(source.path).isprintable():  # others cannot be shown as they are
            for closed in _closed(who, source.path, 2 if source.kind == "management" else 4, look):
                group = group_name(closed.found.st_gid)
                if closed.found.st_gid != 0 and closed.found.st_mode >> 3 & closed.bit:
                    commands[f"usermod -aG {quote(group)} {quote(who.name)}"] = None
                elif any(folder in closed.path.parents for folder in _VOLATILE):
                    if not re.search(r'["\\]', str(closed.path)):
                        volatile[_tmpfiles_line(who, closed)] = None
                elif not any(home in (closed.path, *closed.path.parents, *source.path.parents) for home in _HOMES):
                    if closed.found.st_gid == 0:
                        commands[f"chgrp {quote(group_name(who.gid))} {quote(str(closed.path))}"] = None
                    else:
                        commands[f"usermod -aG {quote(group)} {quote(who.name)}"] = None
                    commands[f"chmod g+{closed.letter} {quote(str(closed.path))}"] = None
    if volatile:
        commands.update({f"echo {quote(line)} >> {TMPFILES}": None for line in volatile})
        commands[f"systemd-tmpfiles --create {TMPFILES}"] = None
    if is_old or (commands and who.service is not None):
        commands["systemctl restart openvpn-mq-exporter"] = None
    return tuple(commands)


def _closed(who: Identity, path: Path, bit: int, look: Callable[[Path], os.stat_result]) -> Iterator[_Closed]:
    places = way(path)
    for place in places:
        try:
            found = look(place)
        except OSError:
            return
        wanted = bit if place == places[-1] else 1
        if not who.allows(found, wanted):
            yield _Closed(place, found, wanted)


def _tmpfiles_line(who: Identity, closed: _Closed) -> str:
    """Return a line that sets mode and group at each boot; a file that OpenVPN has not made yet is made with them."""
    kind = "z" if closed.bit != 4 else "f"
    mode = (closed.found.st_mode | closed.bit << 3) & 0o7777
    owner = user_name(closed.found.st_uid)
    path = str(closed.path).replace("%", "%%")
    if re.search("[ ']", path):
        path = f'"{path}"'
    return f"{kind} {path} {mode:04o} {owner} {group_name(who.gid)} -"
