"""One OpenVPN that runs: what its command line, its files, its unit and its program file tell, put together."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.addresspool import pool_size
from exporter.discovery.options import Certificate, OpenVpnOptions
from exporter.discovery.paths import readable
from exporter.discovery.processes import Process
from exporter.discovery.versions import parse_version
from exporter.discovery.wrapped import wrapped

Mode = Literal["server", "client", "p2p", "unknown"]

# From here they would lead to the exporter's own.
_OWN_OUTPUT: Final = frozenset(
    PurePosixPath(path)
    for path in ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2")
)


@dataclass(frozen=True)
class Instance:
    """Paths lead to the files from here, also for an OpenVPN in a container."""

    name: str
    process: Process
    options: OpenVpnOptions
    version: str  # empty: unknown
    mode: Mode
    root: Path  # how its own / is reached from here

    @property
    def unit(self) -> str:
        """The systemd unit that it runs in; empty if there is none."""
        return self.process.cgroup.unit or ""

    @property
    def is_service(self) -> bool:
        """Whether the system's own manager has started it, and not a user in a session."""
        return self.process.cgroup.system_unit and self.unit.endswith(".service")

    @property
    def config(self) -> str:
        """Its first configuration file, as it calls it; "stdin", or empty if it has none."""
        return "stdin" if self.options.config_is_stdin else readable(str(self.options.config or ""))

    @property
    def log(self) -> Path | None:
        """The file that it logs to; None also for /dev/null and for its own output."""
        return self._file(self.options.log)

    @property
    def journal(self) -> str | None:
        """The unit whose lines in the journal are its log; None if it logs elsewhere.

        A terminal's scope has what went to syslog, and nothing of what OpenVPN printed.
        """
        log = self.options.log
        if (log and log not in _OWN_OUTPUT) or not self.process.cgroup.system_unit:
            return None
        return self.unit if self.unit.endswith(".service") or (self.options.syslog_tag and not log) else None

    @property
    def status(self) -> Path | None:
        """Its status file; None also for /dev/null and for its own output."""
        return self._file(self.options.status)

    @property
    def management(self) -> UnixAddress | TcpAddress | None:
        """Where its management interface is reached."""
        address = self.options.management.address if self.options.management else None
        if isinstance(address, UnixAddress):
            return UnixAddress(str(self.outside(PurePosixPath(address.path))))
        return address

    @property
    def records(self) -> tuple[Path, ...]:
        """The files that openvpn-mq-hook writes to around its scripts, without repetition."""
        inside = [wrapper.record for script in self.options.scripts if (wrapper := wrapped(script))]
        chroot = self.options.chroot
        paths = [self.outside(chroot / str(path).lstrip("/") if chroot else path) for path in dict.fromkeys(inside)]
        return tuple(path for path in paths if path)

    @property
    def script_hooks(self) -> frozenset[str] | None:
        """The hooks at which it runs a script or calls a plugin; None if that cannot be known."""
        options = self.options
        if options.faults or options.config_is_stdin or not all(plugin.hooks for plugin in options.plugins):
            return None
        given = {script.hook for script in options.scripts}
        built_in = set() if self.mode == "server" else {"dns-updown"}  # OpenVPN 2.7 brings a script for it
        return frozenset(given | built_in).union(*(plugin.hooks for plugin in options.plugins))

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificates that its configuration names."""
        return self.options.certificates

    @property
    def max_clients(self) -> int | None:
        """The most clients that it serves at once; None if unknown."""
        return self.options.max_clients if self._known else None

    @property
    def address_pool_size(self) -> int | None:
        """How many IPv4 addresses it can hand out; None if unknown, or if it hands out none."""
        pool = self.options.pool
        return pool_size(pool, parse_version(self.version)) if pool and self._known else None

    @property
    def _known(self) -> bool:
        return self.mode == "server" and not self.options.faults

    def _file(self, path: PurePosixPath | None) -> Path | None:
        return None if path in _OWN_OUTPUT or path == PurePosixPath("/dev/null") else self.outside(path)

    def outside(self, path: PurePosixPath | None) -> Path | None:
        """Return how a path of its own is reached from here."""
        return self.root / str(path).lstrip("/") if path else None
