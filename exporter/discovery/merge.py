"""A command line merged with the configuration files that it names, in OpenVPN's own order: the last word wins.

OpenVPN applies one option after the other. `config` reads its file on the spot, `cd` changes the folder at once, and
`log` opens its file at once, so where each stands matters; all other paths are opened later, from the last folder.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.directives import Directive, from_argv, from_text
from exporter.discovery.options import (
    MANAGEMENT_PART,
    SCRIPT_OPTIONS,
    Certificate,
    CertificateKind,
    Fault,
    Management,
    Mode,
    OpenVpnOptions,
    Plugin,
    Pool,
    Script,
)
from exporter.discovery.words import LineError, split_line

ReadText = Callable[[PurePosixPath], str]

MAX_DEPTH: Final = 10  # of files that name files
_CERTIFICATES: Final[dict[str, CertificateKind]] = {"ca": "ca", "cert": "cert", "crl-verify": "crl"}
_PLUGIN_HOOKS: Final = {"auth-pam": ("auth-user-pass-verify",), "down-root": ("down",)}


def read_options(argv: Sequence[str], folder: PurePosixPath | None, read: ReadText) -> OpenVpnOptions:
    """Return what the process was told; what cannot be read is in `faults`.

    `folder` is where the process was started, None if unknown. `read` returns a file's text, or raises OSError.
    """
    merge = _Merge(folder, read)
    for directive in from_argv(argv):
        merge.apply(directive, depth=0)
    return merge.result()


class _Merge:
    """The state between two directives."""

    def __init__(self, folder: PurePosixPath | None, read: ReadText) -> None:
        self._folder = folder
        self._read = read
        self._options = OpenVpnOptions()
        self._last: dict[str, Directive] = {}  # by name: for most options the last one counts
        self._plugins: list[Plugin] = []
        self._faults: list[Fault] = []
        self._files: list[PurePosixPath] = []
        self._modes: set[Mode] = set()
        self._interval = 60
        self._unix_management = False  # once said, OpenVPN does not forget it
        self._password: str | None = None

    def apply(self, directive: Directive, depth: int) -> None:
        """Take one directive."""
        name, arguments = directive.name, directive.arguments
        if name == "setenv" and arguments[:1] == ("opt",) and len(arguments) > 1:
            name, arguments = arguments[1], arguments[2:]  # `setenv opt NAME`: for versions that know NAME
            directive = Directive(name, arguments, None, directive.line)
        first = arguments[0] if arguments else ""
        self._last[name] = directive
        if name == "config" and first:
            self._config(first, depth)
        elif name == "cd" and first:
            self._folder = self._path(first)
        elif name in ("log", "log-append") and first and self._options.log is None:
            self._options = replace(self._options, log=self._path(first))
        elif name in ("daemon", "syslog") and self._options.syslog_tag is None:
            self._options = replace(self._options, syslog_tag=first or "openvpn")
        elif name == "status" and len(arguments) > 1:
            self._interval = _number(arguments[1])
        elif name == "management":
            self._unix_management |= arguments[1:2] == ("unix",)
            self._password = arguments[2] if len(arguments) > 2 else self._password
        elif name == "plugin" and first:
            hooks = next((hooks for known, hooks in _PLUGIN_HOOKS.items() if known in first), ())
            self._plugins.append(Plugin(first, hooks))
        elif name in ("server", "server-bridge", "server-ipv6") or (name == "mode" and first == "server"):
            self._modes.add("server")
        elif name in ("client", "pull"):
            self._modes.add("client")

    def result(self) -> OpenVpnOptions:
        """Return what holds after the last directive."""
        chroot = self._final("chroot")
        return replace(
            self._options,
            mode="server" if "server" in self._modes else "client" if "client" in self._modes else "p2p",
            status=self._final("status"),
            status_interval=self._interval or 60,
            status_version=self._count("status-version", 1),
            management=self._management(),
            scripts=tuple(self._scripts(chroot)),
            plugins=tuple(self._plugins),
            certificates=tuple(self._certificates(chroot)),
            verb=self._count("verb", 1),
            mute=self._count("mute", 0),
            max_clients=self._count("max-clients", 1024),
            pool=self._pool(),
            chroot=chroot,
            device=self._argument("dev"),
            port=self._argument("lport") or self._argument("port"),
            files=tuple(dict.fromkeys(self._files)),
            faults=tuple(dict.fromkeys(self._faults)),
        )

    def _config(self, name: str, depth: int) -> None:
        path = None if name == "stdin" else self._path(name)
        if self._options.config is None and not self._options.config_is_stdin:
            self._options = replace(self._options, config=path, config_is_stdin=name == "stdin")
        if name == "stdin":
            self._faults.append(Fault("stdin", "OpenVPN was given its configuration on standard input"))
        elif depth >= MAX_DEPTH:
            self._faults.append(Fault(name, f"configuration files that name each other {MAX_DEPTH} deep"))
        elif path is not None:
            self._files.append(path)
            try:
                directives, faults = from_text(self._read(path))
            except OSError as error:
                self._faults.append(Fault(str(path), error.strerror or str(error)))
                return
            self._faults += [Fault(str(path), f"line {line}: {reason}") for line, reason in faults]
            for directive in directives:
                self.apply(directive, depth + 1)

    def _path(self, text: str) -> PurePosixPath | None:
        """Return the absolute path; None, with a fault, if its folder is not known."""
        path = PurePosixPath(text)
        if path.is_absolute():
            return path
        if self._folder is None:
            self._faults.append(Fault(text, "a relative path, and the folder that OpenVPN was started in is not known"))
            return None
        return self._folder / path

    def _argument(self, name: str) -> str:
        directive = self._last.get(name)
        return directive.arguments[0] if directive and directive.arguments else ""

    def _final(self, name: str) -> PurePosixPath | None:
        text = self._argument(name)
        return self._path(text) if text else None

    def _count(self, name: str, default: int) -> int:
        text = self._argument(name)
        return _number(text) if text else default

    def _scripts(self, chroot: PurePosixPath | None) -> list[Script]:
        found = []
        for hook in sorted(SCRIPT_OPTIONS & self._last.keys()):
            command = self._argument(hook)
            try:
                words = split_line(command)
            except LineError as error:
                self._faults.append(Fault(command, f"not a command for {hook}: {error}"))
                continue
            # `dns-updown` also takes "disable" and "force", which are not commands.
            if words and not (hook == "dns-updown" and words[0] in ("disable", "force")):
                found.append(Script(hook, words, self._inside(chroot, words[0])))
        return found

    def _certificates(self, chroot: PurePosixPath | None) -> list[Certificate]:
        found = []
        for name, kind in _CERTIFICATES.items():
            directive = self._last.get(name)
            if directive is None or directive.arguments[1:2] == ("dir",):
                continue  # a folder of revoked serial numbers has no time in it
            if directive.inline is not None:
                found.append(Certificate(kind, None, directive.inline))
            elif path := self._argument(name):
                # A list is read again after OpenVPN has gone into its chroot; certificates are read before.
                inside = self._inside(chroot, path) if kind == "crl" else self._path(path)
                if inside:
                    found.append(Certificate(kind, inside, None))
        return found

    def _inside(self, chroot: PurePosixPath | None, text: str) -> PurePosixPath | None:
        return chroot / text.lstrip("/") if chroot else self._path(text)

    def _management(self) -> Management | None:
        arguments = self._last["management"].arguments if "management" in self._last else ()
        if len(arguments) < 2:
            return None
        host, port = arguments[:2]
        part = sorted(MANAGEMENT_PART & self._last.keys())
        address: UnixAddress | TcpAddress | None = None
        if self._unix_management:
            path = self._path(host)
            address = UnixAddress(str(path)) if path else None
        elif host == "tunnel":
            part.append("management tunnel")
        elif port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            address = TcpAddress({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))  # noqa: S104  # read
        if self._password == "stdin":  # noqa: S105  # a word of OpenVPN's, no password
            part.append("management with a password typed at its start")
            return Management(address, None, tuple(part))
        return Management(address, self._path(self._password) if self._password else None, tuple(part))

    def _pool(self) -> Pool | None:
        device = self._argument("dev-type") or self._argument("dev")[:3]
        topology = self._argument("topology") or None
        try:
            if (arguments := self._arguments("ifconfig-pool", 2)) or (
                arguments := self._arguments("server-bridge", 4)[2:]
            ):
                first, last = (int(ipaddress.IPv4Address(text)) for text in arguments[:2])
                return Pool(first, last, False, device, topology)
            if (arguments := self._arguments("server", 2)) and "nopool" not in arguments:
                network = ipaddress.IPv4Network("/".join(arguments[:2]))
                edges = int(network.network_address), int(network.broadcast_address)
                return Pool(*edges, True, device, topology)
        except ValueError:
            pass  # OpenVPN would not have started with it; or it is a name, which OpenVPN looked up
        return None

    def _arguments(self, name: str, least: int) -> tuple[str, ...]:
        directive = self._last.get(name)
        return directive.arguments if directive and len(directive.arguments) >= least else ()


def _number(text: str) -> int:
    """Return the number that C's atoi() reads, at least 0."""
    digits = re.match(r"\s*\+?([0-9]{1,9})", text)
    return int(digits[1]) if digits else 0
