"""What the user asked for, as frozen dataclasses: the flags (cli.py) and the configuration file (configfile.py)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from exporter.logrules import LogRule
from exporter.servers import Server
from exporter.sysv.names import NamedQueue


class Address(NamedTuple):
    """Where to listen; host "" is every address of the machine, IPv4 and IPv6."""

    host: str
    port: int


@dataclass(frozen=True)
class Config:
    """The configuration file; each part empty where the file does not have it, or where there is no file."""

    queue_names: tuple[NamedQueue, ...] = ()
    servers: tuple[Server, ...] = ()
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
    config_file: Path | None = None
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
