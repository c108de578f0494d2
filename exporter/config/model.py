"""What the user asked for, as frozen dataclasses: the flags (cli.py) and the configuration file (load.py)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from exporter.sysv.keys import NamedQueue


class Address(NamedTuple):
    """Where to listen; host "" is every address of the machine, IPv4 and IPv6."""

    host: str
    port: int


class UnixAddress(NamedTuple):
    """`--management PATH unix`."""

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
        """How many of whole lines, each ending with a newline, match somewhere; ^ and $ are a line's ends."""
        lines = at = 0
        while at < len(batch) and (match := self.pattern.search(batch, at)):
            end = batch.find(b"\n", match.start()) + 1
            if not end:
                break  # behind the last line, where only an empty match can be
            lines += 1
            at = end
        return lines


@dataclass(frozen=True)
class Config:
    """The configuration file; each part empty where the file does not have it, or where there is no file."""

    queue_names: tuple[NamedQueue, ...] = ()
    servers: tuple[OpenVpnServer, ...] = ()
    log_rules: tuple[LogRule, ...] = ()


@dataclass(frozen=True)
class QueueSettings:
    """What --collector.queues.* say."""

    include: re.Pattern[str] | None = None  # on the queue label, anchored at both ends
    exclude: re.Pattern[str] | None = None
    max_series: int = 1000  # 0 = no limit
    sample_interval: float = 1.0  # seconds
    peak_window: float = 60.0  # seconds

    @property
    def filters(self) -> bool:
        """Whether there is anything that `wants` could refuse."""
        return bool(self.include or self.exclude)

    def wants(self, queue: str) -> bool:
        """Whether a queue of this label gets series of its own."""
        if self.include and not self.include.fullmatch(queue):
            return False
        return not (self.exclude and self.exclude.fullmatch(queue))


@dataclass(frozen=True)
class TraceSettings:
    """What --trace.* say."""

    input: Path | None = None  # where somebody else's bpftrace writes; None: run one as a child
    max_queues: int = 1024


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    config: Config = Config()
    listen: tuple[Address, ...] = (Address("", 10049),)
    telemetry_path: str = "/metrics"
    exporter_metrics: bool = True  # process_*, python_info, promhttp_*
    collectors: Mapping[str, bool] = field(default_factory=dict)  # by --collector.NAME; others as the table has them
    collector_defaults: bool = True
    queues: QueueSettings = QueueSettings()
    limits_profile: str = "small"
    state_directory: Path | None = None  # where read positions are remembered
    trace: TraceSettings = TraceSettings()
    procfs: Path = Path("/proc")
    once: bool = False
