"""Scripts, certificates and the management interface, from the last directive of each name, as OpenVPN opens them."""

import re
from pathlib import PurePosixPath
from typing import Final

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.directives import LastDirectives
from exporter.discovery.options import (
    MANAGEMENT_PART,
    SCRIPT_OPTIONS,
    Certificate,
    CertificateKind,
    Fault,
    Management,
    Script,
)
from exporter.discovery.paths import Paths
from exporter.discovery.words import LineError, split_line

_CERTIFICATES: Final[dict[str, CertificateKind]] = {"ca": "ca", "cert": "cert", "crl-verify": "crl"}


def scripts(last: LastDirectives, paths: Paths, chroot: PurePosixPath | None) -> tuple[Script, ...]:
    """Return the commands that OpenVPN runs; one that it would refuse is a fault."""
    found = []
    for hook in last.given(SCRIPT_OPTIONS):
        command = last.argument(hook)
        try:
            words = split_line(command)
        except LineError as error:
            paths.faults.append(Fault(command, f"not a command for {hook}: {error}"))
            continue
        # `dns-updown` also takes "disable" and "force", which are not commands.
        if words and not (hook == "dns-updown" and words[0] in ("disable", "force")):
            found.append(Script(hook, words, paths.inside(chroot, words[0])))
    return tuple(found)


def certificates(last: LastDirectives, paths: Paths, chroot: PurePosixPath | None) -> tuple[Certificate, ...]:
    """Return the certificates and revocation lists; a folder of revoked serial numbers has no time in it."""
    found = []
    for name, kind in _CERTIFICATES.items():
        directive = last.get(name)
        if directive is None or directive.arguments[1:2] == ("dir",):
            continue
        if directive.inline is not None:
            found.append(Certificate(kind, None, directive.inline))
        elif path := last.argument(name):
            # A list is read again after OpenVPN has gone into its chroot; certificates are read before.
            inside = paths.inside(chroot, path) if kind == "crl" else paths.absolute(path)
            if inside:
                found.append(Certificate(kind, inside, None))
    return tuple(found)


def management(last: LastDirectives, paths: Paths, *, is_unix: bool, password: str | None) -> Management | None:
    """Return the management interface, None if there is none.

    `is_unix`, `password`: the words behind the port, which OpenVPN does not forget once they are said.
    """
    arguments = last.arguments("management", 2)
    if not arguments:
        return None
    host, port = arguments[:2]
    part = last.given(MANAGEMENT_PART)
    address: UnixAddress | TcpAddress | None = None
    if is_unix:
        path = paths.absolute(host)
        address = UnixAddress(str(path)) if path else None
    elif host == "tunnel":
        part.append("management tunnel")
    elif re.fullmatch("[0-9]{1,9}", port) and 0 < int(port) < 65536:  # Python refuses to read 5000 digits
        address = TcpAddress({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))  # noqa: S104  # read
    if password == "stdin":  # noqa: S105  # a word of OpenVPN's, no password
        part.append("management with a password typed at its start")
        return Management(address, None, tuple(part))
    return Management(address, paths.optional(password or ""), tuple(part))
