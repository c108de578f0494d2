"""What the user asked for, as frozen dataclasses: the flags (cli.py) and the configuration file (load.py)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, cast

from exporter.sysv.keys import NamedQueue

T = TypeVar("T")


class Address(NamedTuple):
    """Where to listen; host "" is every address of the machine, IPv4 and IPv6."""

    host: str
    port: int


class UnixAddress(NamedTuple):
    """A unix socket: of `--management PATH unix`, or to listen on."""

    path: str


class TcpAddress(NamedTuple):
    """`--management HOST PORT`."""

    host: str
    port: int


@dataclass(frozen=True)
class OpenVpnServer:
    """One item of `servers`; what is None is not watched. Durations in seconds."""

    name: str
    log: Path | None = None
    journal: str | None = None  # a systemd unit; never beside `log`
    hooks: Path | None = None
    management: UnixAddress | TcpAddress | None = None
    management_password_file: Path | None = None
    management_interval: float = 15.0
    management_timeout: float = 5.0
    per_client: bool = False
    max_clients: int = 1000
    status: Path | None = None
    status_interval: float = 60.0
    syslog_tag: str | None = None  # which lines of a `log` that several servers share are this one's
    script_hooks: frozenset[str] | None = None  # at which it has scripts or plugins; None: not known, perhaps at all


class Match(Protocol):
    """What a regular expression found in a batch of lines."""

    def start(self) -> int:
        """Return the offset of the first byte that matched."""


class Pattern(Protocol):
    """A compiled regular expression over bytes, as RE2 or the standard library has it."""

    def search(self, batch: bytes, pos: int, /) -> Match | None:
        """Return the first match at or behind `pos`."""


class LogRule(NamedTuple):
    """One item of `log_rules`."""

    name: str
    pattern: Pattern

    def count(self, batch: bytes) -> int:
        """Return how many of whole lines, each ending with a newline, match somewhere; ^ and $ are a line's ends."""
        lines = at = 0
        while at < len(batch) and (match := self.pattern.search(batch, at)):
            end = batch.find(b"\n", match.start()) + 1
            if not end:
                break  # behind the last line, where only an empty match can be
            lines += 1
            at = end
        return lines


@dataclass(frozen=True)
class DiscoveryOptions:
    """`discovery`: how the servers are watched that the exporter finds by itself."""

    management: bool = False  # whether their management interfaces are polled, each of which serves one client


@dataclass(frozen=True)
class Config:
    """The configuration file; each part empty where the file does not have it, or where there is no file."""

    queue_names: tuple[NamedQueue, ...] = ()
    servers: tuple[OpenVpnServer, ...] = ()
    log_rules: tuple[LogRule, ...] = ()
    discovery: DiscoveryOptions = DiscoveryOptions()

    @property
    def server_files(self) -> frozenset[Path]:
        """Return the files that OpenVPN and the hook write for any server: none is a rotated file of another."""
        files = (file for server in self.servers for file in (server.log, server.hooks, server.status))
        return frozenset(file for file in files if file)


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    config: Config = Config()
    listen: tuple[Address | UnixAddress, ...] = (Address("", 10049),)
    systemd_socket: bool = False  # systemd listens for us; `listen` is not used then
    web_config_file: Path | None = None
    max_requests: int = 40  # for the metrics, at once; 0 = no limit
    telemetry_path: str = "/metrics"
    exporter_metrics: bool = True  # process_*, python_info, promhttp_*
    collectors: Mapping[str, bool] = field(default_factory=dict)  # by --collector.NAME; others as the registry has them
    collector_defaults: bool = True
    parts: tuple[object, ...] = ()  # the settings of single collectors, from their own flags
    state_directory: Path | None = None  # where read positions are remembered
    procfs: Path = Path("/proc")
    once: bool = False
    discovery: bool = True  # whether to look for OpenVPN instances

    def of(self, kind: Callable[[], T]) -> T:
        """Return the part of this type, as its collector's flags set it; else one with the defaults."""
        for part in self.parts:
            if type(part) is kind:
                return cast("T", part)
        return kind()
