"""A command line merged with the configuration files that it names, in OpenVPN's own order: the last word wins.

OpenVPN applies one option after the other. `config` reads its file on the spot, `cd` changes the folder at once, and
`log` opens its file at once, so where each stands matters; all other paths are opened later, from the last folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from exporter.discovery.addresspool import read_pool
from exporter.discovery.directives import Directive, LastDirectives, atoi, from_argv, from_text
from exporter.discovery.effective import certificates, management, scripts
from exporter.discovery.options import Fault, Mode, OpenVpnOptions, Plugin
from exporter.discovery.paths import Paths

ReadText = Callable[[PurePosixPath], str]

MAX_DEPTH: Final = 10  # of files that name files
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
        self._paths = Paths(folder)
        self._read = read
        self._options = OpenVpnOptions()
        self._last = LastDirectives()
        self._plugins: list[Plugin] = []
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
        self._last.keep(directive)
        if name == "config" and first:
            self._config(first, depth)
        elif name == "cd" and first:
            self._paths.change_folder(first)
        elif name in ("log", "log-append") and first and self._options.log is None:
            self._options = replace(self._options, log=self._paths.absolute(first))
        elif name in ("daemon", "syslog") and self._options.syslog_tag is None:
            self._options = replace(self._options, syslog_tag=first or "openvpn")
        elif name == "status" and len(arguments) > 1:
            self._interval = atoi(arguments[1])
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
        last, paths = self._last, self._paths
        chroot = paths.optional(last.argument("chroot"))
        return replace(
            self._options,
            mode="server" if "server" in self._modes else "client" if "client" in self._modes else "p2p",
            status=paths.optional(last.argument("status")) if self._interval else None,  # with 0 it is never written
            status_interval=self._interval or 60,
            status_version=last.number("status-version", 1),
            management=management(last, paths, is_unix=self._unix_management, password=self._password),
            scripts=scripts(last, paths, chroot),
            plugins=tuple(self._plugins),
            certificates=certificates(last, paths, chroot),
            verb=last.number("verb", 1),
            mute=last.number("mute", 0),
            max_clients=last.number("max-clients", 1024),
            pool=read_pool(last),
            chroot=chroot,
            device=last.argument("dev"),
            port=last.argument("lport") or last.argument("port"),
            files=tuple(dict.fromkeys(self._files)),
            faults=tuple(dict.fromkeys(paths.faults)),
            folder=paths.folder,
        )

    def _config(self, name: str, depth: int) -> None:
        path = None if name == "stdin" else self._paths.absolute(name)
        if self._options.config is None and not self._options.config_is_stdin:
            self._options = replace(self._options, config=path, config_is_stdin=name == "stdin")
        if name == "stdin":
            self._paths.faults.append(Fault("stdin", "OpenVPN was given its configuration on standard input"))
        elif depth >= MAX_DEPTH:
            self._paths.faults.append(Fault(name, f"configuration files that name each other {MAX_DEPTH} deep"))
        elif path is not None:
            self._files.append(path)
            try:
                directives, faults = from_text(self._read(path))
            except OSError as error:
                self._paths.faults.append(Fault(str(path), error.strerror or str(error)))
                return
            self._paths.faults += [Fault(str(path), f"line {line}: {reason}") for line, reason in faults]
            for directive in directives:
                self.apply(directive, depth + 1)
