"""OpenVPN processes and the servers of the configuration."""

from pathlib import Path, PurePosixPath

import pytest

from exporter.config.model import OpenVpnServer, TcpAddress, UnixAddress
from exporter.discovery.instance import Instance
from exporter.discovery.options import Management, OpenVpnOptions
from exporter.discovery.processes import Process
from exporter.discovery.units import Cgroup
from exporter.process_events.naming import match


def instance(pid: int, name: str, unit: str | None = None, **options: object) -> Instance:
    process = Process(pid, 1, ("openvpn",), Cgroup(unit, True, False), None)
    return Instance(name, process, OpenVpnOptions(**options), "", "server", Path("/"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("server", "found"),
    [
        (OpenVpnServer("s", journal="openvpn-server@a.service"), instance(7, "a", "openvpn-server@a.service")),
        (OpenVpnServer("s", log=Path("/var/log/a.log")), instance(7, "a", log=PurePosixPath("/var/log/a.log"))),
        (OpenVpnServer("s", status=Path("/run/a.status")), instance(7, "a", status=PurePosixPath("/run/a.status"))),
        (
            OpenVpnServer("s", management=UnixAddress("/run/a.sock")),
            instance(7, "a", management=Management(UnixAddress("/run/a.sock"), None, ())),
        ),
        (
            OpenVpnServer("s", management=TcpAddress("127.0.0.1", 7505)),
            instance(7, "a", management=Management(TcpAddress("127.0.0.1", 7505), None, ())),
        ),
        (OpenVpnServer("a", journal="other.service"), instance(7, "a")),
    ],
)
def test_a_server_is_told_by(server: OpenVpnServer, found: Instance) -> None:
    others = [OpenVpnServer("x"), OpenVpnServer("y", log=Path("/var/log/y.log"))]
    assert match([instance(6, "b"), found], [others[0], server, others[1]]) == {7: server.name}


def test_the_only_one_of_each() -> None:
    """Whatever they are called; not if there are two."""
    assert match([instance(7, "a")], [OpenVpnServer("s")]) == {7: "s"}
    assert match([instance(7, "a"), instance(8, "b")], [OpenVpnServer("s")]) == {}
    assert match([instance(7, "a")], [OpenVpnServer("s"), OpenVpnServer("t")]) == {}
    assert match([], [OpenVpnServer("s")]) == {}


def test_what_they_share_counts_more_than_the_name() -> None:
    """Two servers whose names were swapped in the configuration."""
    servers = [OpenVpnServer("a", log=Path("/b.log")), OpenVpnServer("b", log=Path("/a.log"))]
    found = [instance(1, "a", log=PurePosixPath("/a.log")), instance(2, "b", log=PurePosixPath("/b.log"))]
    assert match(found, servers) == {1: "b", 2: "a"}
