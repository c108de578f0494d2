"""The drop-in that lets the exporter's service read what it found of OpenVPN, and nothing else of what is closed.

CAP_DAC_READ_SEARCH reads every file, so it goes together with a view of the file system in which there are only the
system's libraries, the exporter's own files and those that are named here. A folder is named for what OpenVPN, the hook
or logrotate makes anew in it; a configuration and a certificate are named one by one, as keys lie beside them. Python's
own folders are named if they are hidden too, as those of an installation below /opt are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from exporter.check.text import clean
from exporter.config.model import Config, OpenVpnServer, UnixAddress
from exporter.discovery.access import HOMES, sources
from exporter.discovery.instance import Instance
from exporter.sysv.keys import Ftok

DROP_IN: Final = "/etc/systemd/system/openvpn-mq-exporter.service.d/access.conf"

_HIDDEN: Final = ("/etc", "/var", "/run", "/root", "/home", "/srv", "/mnt", "/media", "/opt", "/boot")
_SYSTEM: Final = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime", "/etc/machine-id"),
    *("/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/resolv.conf", "/run/systemd/resolve"),  # `localhost`, too
    *("/etc/ssl/openssl.cnf", "/etc/openvpn-mq-exporter.yml", "/etc/openvpn-mq-exporter"),
    *("/run/systemd/notify", "/run/openvpn-mq-waiters.sock", "/run/openvpn-mq-trace"),
    *("/var/log/journal", "/run/log/journal", "/var/log/openvpn-mq"),
)
_BY_FOLDER: Final = frozenset({"log", "hooks", "status", "management"})
# Folders that hold far more than OpenVPN's files: in them, the file itself is named.
_SHARED: Final = frozenset(
    PurePosixPath(path)
    for path in (
        *("/", *_HIDDEN, "/etc/openvpn", "/etc/openvpn/server", "/etc/openvpn/client", "/run/lock", "/run/user"),
        *("/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/run", "/var/spool", "/var/lock"),
        *("/tmp", "/var/tmp"),  # noqa: S108  # compared, not used
    )
)
_CLOSED: Final = (
    "# Not everybody may read these. Without them, a script's runs of a millisecond count as hook `other`, and a",
    "# queue's name by ftok is unknown; with them, the service can read what is in them. Take the # away to bind them:",
)


def drop_in(
    instances: Sequence[Instance],
    prefixes: Iterable[str],
    config: Config,
    is_public: Callable[[PurePosixPath], bool | None],
) -> str:
    """Return the text of the drop-in for these instances of OpenVPN, and for what the exporter's configuration names.

    `prefixes` are the folders that Python and the exporter are installed in. `is_public` tells whether a path is that
    of a file that everybody may read; None if nothing is there.
    """
    names = clean(", ".join(instance.name for instance in instances))
    here = [instance for instance in instances if not instance.process.cgroup.container]
    programs = [path for path in prefixes if _is_hidden(path)]
    paths = list(dict.fromkeys([*programs, *_SYSTEM, *_named(here, config)]))
    # Anybody can start a process called openvpn, with a line break and a line of his own in its arguments.
    unfit = [path for path in paths if not path.isprintable()]
    homes = [path for path in paths if path not in programs and path.isprintable() and path.startswith(HOMES)]
    bound = [path for path in paths if path in programs or _is_fit(path)]
    by_name = [path for path in _by_name(here, config) if path not in bound and _is_fit(path)]
    open_to_all = {path: is_public(PurePosixPath(path)) for path in by_name}
    public = [path for path in by_name if open_to_all[path]]
    closed = [path for path in by_name if open_to_all[path] is False]
    return "\n".join(
        [
            f"# What openvpn-mq-check --access found on this host ({names or 'no OpenVPN is running'}).",
            f"# Save it as {DROP_IN}, then run:",
            "#   systemctl daemon-reload && systemctl restart openvpn-mq-exporter",
            "# Make it anew when OpenVPN's configuration names other files. A file that is replaced by a new one of",
            "# the same name is seen after the next restart of openvpn-mq-exporter.",
            *(f"# Not bound, as no unit can have this name in it: {clean(path)}" for path in unfit),
            *(f"# Not bound, as services see no home directories (move it to /etc/openvpn): {path}" for path in homes),
            "[Service]",
            "AmbientCapabilities=CAP_DAC_READ_SEARCH",
            "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
            "# To know which script has run in a millisecond; it needs no privilege from Linux 5.13 on.",
            "SystemCallFilter=fanotify_init fanotify_mark",
            "TemporaryFileSystem=" + " ".join(f"{folder}:ro" for folder in _HIDDEN),
            "BindPaths=/var/lib/openvpn-mq-exporter",
            *(f"BindReadOnlyPaths=-{_quoted(path)}" for path in (*bound, *public)),
            *(_CLOSED if closed else ()),
            *(f"#BindReadOnlyPaths=-{_quoted(path)}" for path in closed),
            "",
        ]
    )


def _named(instances: Iterable[Instance], config: Config) -> Iterator[str]:
    """Yield what has to be bound for what is to be read: of the instances, and of `servers` in the configuration."""
    for instance in instances:
        for source in sources(instance, polled=config.discovery.management):
            if source.path and source.kind != "journal" and source.name.startswith("/"):
                yield _place(source.kind, source.name)
    for server in config.servers:
        for kind, name in _files(server):
            if name:
                yield _place(kind, str(name))


def _files(server: OpenVpnServer) -> Iterator[tuple[str, object]]:
    yield "log", server.log
    yield "hooks", server.hooks
    yield "status", server.status
    yield "management", server.management.path if isinstance(server.management, UnixAddress) else None
    yield "password", server.management_password_file


def _place(kind: str, name: str) -> str:
    path = PurePosixPath(name)
    return str(path.parent if kind in _BY_FOLDER and path.parent not in _SHARED else path)


def _by_name(instances: Iterable[Instance], config: Config) -> Iterator[str]:
    """Yield the hidden files of which only the inode matters, not what is in them."""
    scripts = (str(script.path) for instance in instances for script in instance.options.scripts if script.path)
    ftok = (named.key.path for named in config.queue_names if isinstance(named.key, Ftok))
    yield from filter(_is_hidden, dict.fromkeys((*scripts, *ftok)))


def _is_fit(path: str) -> bool:
    return path.isprintable() and not path.startswith(HOMES)


def _is_hidden(path: str) -> bool:
    return path.startswith(tuple(f"{folder}/" for folder in _HIDDEN))


def _quoted(path: str) -> str:
    """Quote a path for a unit: a blank, a colon and a percent sign have meanings there."""
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"').replace(":", "\\:")
    return f'"{escaped}"' if any(character in path for character in ' \t"\\:') else escaped
