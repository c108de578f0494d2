"""A management collector at work, and what it says, for its tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from exporter.collectors.management import ManagementCollector
from exporter.config.model import Config, OpenVpnServer, UnixAddress
from tests.support.openvpn import OpenVpn, wait_until
from tests.support.pages import Samples, collected

REASONS = ("busy", "refused", "auth", "timeout", "protocol")
S = {"server": "s"}


def configured(server: OpenVpn) -> OpenVpnServer:
    return OpenVpnServer(
        "s",
        management=UnixAddress(str(server.management)),
        management_interval=0.1,
        management_timeout=30.0,
        per_client=True,
    )


@contextlib.contextmanager
def watching(server: OpenVpnServer, procfs: Path) -> Iterator[ManagementCollector]:
    collector = ManagementCollector(Config(servers=(server,)), procfs, once=False)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def of(server: OpenVpn) -> Path:
    """A procfs whose net/ is that of the server's network namespace."""
    return Path(f"/proc/{server.process.pid}")


def failures(samples: Samples) -> dict[str, float | None]:
    name = "openvpn_management_command_failures_total"
    return {reason: samples.get(name, {**S, "reason": reason}) for reason in REASONS}


def wait_value(collector: ManagementCollector, name: str, value: float | None, **labels: str) -> Samples:
    def holds() -> bool:
        return collected([collector]).get(name, S | labels) == value

    wait_until(holds, f"{name} is {value}")
    return collected([collector])
