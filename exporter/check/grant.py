"""The drop-in that lets the exporter's service read what it found of OpenVPN, and nothing else of what is closed.

CAP_DAC_READ_SEARCH reads every file, so it goes together with a view of the file system in which there are only the
system's libraries, the exporter's own files and those that are named here. A folder is named for what OpenVPN, the hook
or logrotate makes anew in it; a configuration and a certificate are named one by one, as keys lie beside them. Python's
own folders are named if they are hidden too, as those of an installation below /opt are.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final

from exporter.check.text import clean
from exporter.discovery.access import Source, sources
from exporter.discovery.instance import Instance

DROP_IN: Final = "/etc/systemd/system/openvpn-mq-exporter.service.d/access.conf"

_HIDDEN: Final = ("/etc", "/var", "/run", "/root", "/home", "/srv", "/mnt", "/media", "/opt", "/boot")
_SYSTEM: Final = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime", "/etc/machine-id"),
    *("/etc/ssl/openssl.cnf", "/etc/openvpn-mq-exporter.yml", "/etc/openvpn-mq-exporter"),
    *("/run/systemd/notify", "/run/openvpn-mq-waiters.sock", "/run/openvpn-mq-trace"),
    *("/var/log/journal", "/run/log/journal", "/var/log/openvpn-mq"),
)
_BY_FOLDER: Final = frozenset({"log", "hooks", "status", "management"})
# Folders that hold far more than OpenVPN's files: in them, the file itself is named.
_SHARED: Final = frozenset(
    PurePosixPath(path)
    for path in (
        *("/", "/etc", "/etc/openvpn", "/etc/openvpn/server", "/etc/openvpn/client", "/run", "/var", "/var/run"),
        *("/var/log", "/tmp", "/var/tmp"),  # noqa: S108  # compared, not used
    )
)


def drop_in(instances: Sequence[Instance], prefixes: Iterable[str]) -> str:
    """Return the text of the drop-in for these instances of OpenVPN.

    `prefixes` are the folders that Python and the exporter are installed in.
    """
    names = clean(", ".join(instance.name for instance in instances))
    here = [instance for instance in instances if not instance.process.cgroup.container]
    paths = dict.fromkeys(_path(source) for instance in here for source in sources(instance) if source.path)
    own = [path for path in paths if path]
    programs = [prefix for prefix in dict.fromkeys(prefixes) if prefix.startswith(tuple(f"{top}/" for top in _HIDDEN))]
    # Anybody can start a process called openvpn, with a line break and a line of his own in its arguments.
    unfit = [path for path in own if not path.isprintable()]
    return "\n".join(
        [
            f"# What openvpn-mq-check --access found on this host ({names or 'no OpenVPN is running'}).",
            f"# Save it as {DROP_IN}, then run:",
            "#   systemctl daemon-reload && systemctl restart openvpn-mq-exporter",
            "# Make it anew when OpenVPN's configuration names other files. A file that is replaced by a new one of",
            "# the same name is seen after the next restart of openvpn-mq-exporter.",
            *(f"# Not bound, as no unit can have this name in it: {clean(path)}" for path in unfit),
            "[Service]",
            "AmbientCapabilities=CAP_DAC_READ_SEARCH",
            "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
            "TemporaryFileSystem=" + " ".join(f"{folder}:ro" for folder in _HIDDEN),
            "BindPaths=/var/lib/openvpn-mq-exporter",
            *(f"BindReadOnlyPaths=-{_quoted(path)}" for path in (*programs, *_SYSTEM, *own) if path not in unfit),
            "",
        ]
    )


def _path(source: Source) -> str | None:
    """Return what has to be bound for a source; None for what needs nothing."""
    if source.kind == "journal" or not source.name.startswith("/"):
        return None
    path = PurePosixPath(source.name)
    if source.kind in _BY_FOLDER and path.parent not in _SHARED:
        return str(path.parent)
    return str(path)


def _quoted(path: str) -> str:
    """Quote a path for a unit: a blank, a colon and a percent sign have meanings there."""
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"').replace(":", "\\:")
    return f'"{escaped}"' if any(character in path for character in ' \t"\\:') else escaped
