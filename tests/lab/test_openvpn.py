"""The lab itself: a tunnel that carries packets, and nothing left behind."""

import subprocess

from tests.support.openvpn import Lab


def test_clients_connect_and_the_tunnel_carries_packets() -> None:
    """Two clients of one namespace and one alone reach the server through their tunnels."""
    with Lab() as lab:
        server = lab.server()
        alice, bob, carol = lab.client("alice"), lab.client("bob"), lab.client("carol", alone=True)
        for client in (alice, bob, carol):
            client.wait_connected()
        assert carol.run("ping", "-c1", "-W5", "10.8.0.1").returncode == 0
        assert server.text().count("Peer Connection Initiated") == 3
        assert server.management.is_socket()
        assert server.status.exists()


def test_ipv6() -> None:
    """A client may come over IPv6."""
    with Lab() as lab:
        lab.server("proto udp6")
        lab.client("alice", ipv6=True).wait_connected()


def test_a_refused_client_ends() -> None:
    """A client-connect that exits 3 refuses the client."""
    with Lab() as lab:
        server = lab.server(f"client-connect {lab.script('no', 'exit 3')}")
        lab.client("alice").wait_refused()
        server.wait_for("Failed running command (--client-connect)")


def test_nothing_is_left_behind() -> None:
    """Namespaces, files and processes are gone after the block."""
    with Lab() as lab:
        processes = [lab.server(), lab.client("alice")]
        names = {process.namespace.name for process in processes}
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not names & {line.split()[0] for line in listed.splitlines()}
    assert not lab.folder.exists()
    assert all(process.ended() for process in processes)
