"""The management collector against real OpenVPN servers with real clients."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collectors import management
from exporter.collectors.context import build_context
from exporter.collectors.management import ManagementCollector
from exporter.config.model import Config, OpenVpnServer, Settings, UnixAddress
from exporter.openvpn.clients import OTHERS
from tests.support.fake import Fake, answer
from tests.support.openvpn import Lab, OpenVpn, wait_until
from tests.support.pages import Samples, collected
from tests.support.watched import REASONS, S, configured, failures, of, wait_value, watching


def alice(samples: Samples) -> tuple[float, float]:
    labels = S | {"common_name": "alice"}
    received = samples.get("openvpn_server_client_received_bytes_total", labels)
    sent = samples.get("openvpn_server_client_sent_bytes_total", labels)
    return received or 0.0, sent or 0.0


def test_before_the_first_poll_counters_are_zero_and_nothing_else_is_claimed() -> None:
    samples = collected(
        [ManagementCollector([OpenVpnServer("s", management=UnixAddress("/x"))], Path("/proc"), once=False)]
    )
    assert failures(samples) == dict.fromkeys(REASONS, 0.0)
    assert samples.get("openvpn_management_commands_total", S) == 0
    assert samples.get("openvpn_management_command_duration_seconds_count", S) == 0
    assert samples.get("openvpn_management_command_pending_seconds", S) == 0
    assert samples.get("openvpn_management_up", S) is None
    assert not {name for name in samples.names() if not name.startswith("openvpn_management_command")}


def test_clients_come_and_go_and_their_bytes_are_what_was_sent(lab: Lab) -> None:
    """One name twice: both count, and when one leaves, the sum stays. The truth is what ping sent and OpenVPN took."""
    record = lab.folder / "ended"
    script = lab.script("disconnect", f'echo "$common_name $bytes_received $bytes_sent" >> {record}')
    server = lab.server(f"client-disconnect {script}")
    with watching(configured(server), of(server)) as collector:
        samples = wait_value(collector, "openvpn_server_connected_clients", 0)
        assert samples.get("openvpn_management_up", S) == 1
        assert samples.get("openvpn_log_verbosity", S) == 3
        assert samples.get("openvpn_log_mute", S) == 0
        version = lab_version(server)
        assert samples.get("openvpn_server_info", S | {"version": version}) == 1
        assert (samples.get("openvpn_management_last_reply_timestamp_seconds", S) or 0) > time.time() - 60

        first = lab.client("alice", alone=True)
        first.wait_connected()
        samples = wait_value(collector, "openvpn_server_client_connections", 1, common_name="alice")
        before, total = alice(samples), samples.get("openvpn_server_received_bytes_total", S) or 0
        assert first.run("ping", "-c20", "-i0.05", "-s1000", "10.8.0.1").returncode == 0
        wait_until(lambda: alice(collected([collector]))[1] - before[1] > 20 * 1028, "the replies are counted")
        after = alice(collected([collector]))
        for moved in (after[0] - before[0], after[1] - before[1]):
            # 20 packets of 1000 bytes and the headers of ICMP and IP, each in an OpenVPN packet with up to 100 more.
            assert 20 * 1028 < moved < 20 * 1128 + 2000
        assert (collected([collector]).get("openvpn_server_received_bytes_total", S) or 0) - total > 20 * 1028

        second = lab.client("alice")
        second.wait_connected()
        wait_value(collector, "openvpn_server_client_connections", 2, common_name="alice")
        wait_value(collector, "openvpn_server_connected_clients", 2)
        before = alice(collected([collector]))
        first.stop()
        wait_value(collector, "openvpn_server_connected_clients", 1)
        samples = wait_value(collector, "openvpn_server_client_connections", 1, common_name="alice")
        assert alice(samples) >= before
        assert alice(samples)[0] >= before[0]
        second.stop()
        samples = wait_value(collector, "openvpn_server_client_connections", 0, common_name="alice")
        ended = [line.split() for line in record.read_text().splitlines()]
        assert [name for name, _, _ in ended] == ["alice", "alice"]
        for counted, column in zip(alice(samples), (1, 2), strict=True):
            truth = sum(int(row[column]) for row in ended)
            # OpenVPN's own last word on both connections, but for what they moved after the last poll: the goodbye.
            assert truth - 2000 <= counted <= truth
        assert failures(samples) == dict.fromkeys(REASONS, 0.0)


def lab_version(server: OpenVpn) -> str:
    return server.run("openvpn", "--version").stdout.split()[1]


def test_a_restart_is_seen_and_sums_go_on(lab: Lab) -> None:
    server = lab.server()
    with watching(configured(server), of(server)) as collector:
        first = lab.client("alice")
        first.wait_connected()
        samples = wait_value(collector, "openvpn_server_client_connections", 1, common_name="alice")
        before = alice(samples)
        first.stop()
        server.stop()
        samples = wait_value(collector, "openvpn_management_up", 0)
        assert failures(samples)["refused"] or failures(samples)["protocol"]
        assert alice(samples) >= before
        for gone in ("openvpn_server_connected_clients", "openvpn_server_info", "openvpn_log_verbosity"):
            assert gone not in samples.names(), "what is not known is absent"
        assert "openvpn_server_client_connections" not in samples.names()
        lab.server()
        wait_value(collector, "openvpn_management_up", 1)
        lab.client("alice").wait_connected()
        samples = wait_value(collector, "openvpn_server_client_connections", 1, common_name="alice")
        received, sent = alice(samples)
        assert received > before[0]
        assert sent > before[1]


def test_a_real_password(lab: Lab) -> None:
    secret = lab.folder / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    server = lab.server(f"management {lab.folder}/server.sock unix {secret}")
    with watching(replace(configured(server), management_password_file=secret), of(server)) as collector:
        samples = wait_value(collector, "openvpn_management_up", 1)
        assert failures(samples) == dict.fromkeys(REASONS, 0.0)
    wrong = lab.folder / "wrong"
    wrong.write_text("guess\n")
    for file in (wrong, None):
        with watching(replace(configured(server), management_password_file=file), of(server)) as collector:
            samples = wait_value(collector, "openvpn_management_up", 0)
            assert (failures(samples)["auth"] or 0) >= 1
            assert failures(samples)["busy"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_single_look_over_tcp(lab: Lab, host: str) -> None:
    """--once polls right now; counters that only a daemon can keep are left out, OpenVPN's own are not."""
    server = lab.server(f"management {host} 7505")
    lab.client("alice").wait_connected()
    config = lab.folder / "exporter.yml"
    address = f"[{host}]" if ":" in host else host
    config.write_text(f"servers:\n  - {{name: s, management: 'tcp:{address}:7505', per_client: true}}\n")
    command = [sys.executable, "-m", "exporter", "--once", "--config.file", str(config)]
    result = server.run(*command, "--collector.disable-defaults", "--collector.management")
    assert result.returncode == 0, result.stderr
    samples = Samples(result.stdout)
    assert samples.get("openvpn_management_up", S) == 1
    assert samples.get("openvpn_server_connected_clients", S) == 1
    assert (samples.get("openvpn_server_received_bytes_total", S) or 0) > 0
    assert samples.get("openvpn_server_client_connections", S | {"common_name": "alice"}) == 1
    assert "openvpn_management_commands_total" not in samples.names()
    assert "openvpn_server_client_received_bytes_total" not in samples.names()


def test_names_beyond_max_clients_share_one_series_that_no_client_can_have(lab: Lab) -> None:
    server = lab.server()
    with watching(replace(configured(server), max_clients=2), of(server)) as collector:
        for name in ("alice", "bob", "carol", "others"):
            lab.client(name).wait_connected()
        samples = wait_value(collector, "openvpn_server_client_connections", 2, common_name=OTHERS)
        for name in ("openvpn_server_client_received_bytes_total", "openvpn_server_client_connections"):
            assert len(samples.label_values(name, "common_name")) == 3
        wait_value(collector, "openvpn_server_connected_clients", 4)


def test_clients_have_no_series_unless_asked_for(lab: Lab) -> None:
    server = lab.server()
    lab.client("alice").wait_connected()
    with watching(replace(configured(server), per_client=False), of(server)) as collector:
        samples = wait_value(collector, "openvpn_server_connected_clients", 1)
        assert "alice" not in samples.text
    assert "status 3" not in server.text()


def test_each_server_has_its_own_series_and_trouble_with_one_is_not_the_others(tmp_path: Path) -> None:
    one = OpenVpnServer("one", management=UnixAddress(str(tmp_path / "one")), management_interval=0.05)
    two = OpenVpnServer("two", management=UnixAddress(str(tmp_path / "two")), management_interval=0.05)
    collector = ManagementCollector([one, two], Path("/proc"), once=False)
    with Fake(UnixAddress(str(tmp_path / "one")), answer) as fake:
        collector.start()
        try:
            wait_until(lambda: collected([collector]).get("openvpn_management_up", {"server": "one"}) == 1, "one is up")
            wait_until(
                lambda: collected([collector]).get("openvpn_management_up", {"server": "two"}) == 0, "two is not"
            )
        finally:
            collector.stop()
    samples = collected([collector])
    asked = fake.record.count(b"load-stats")
    assert samples.get("openvpn_management_commands_total", {"server": "one"}) == len(fake.record)
    assert samples.get("openvpn_management_command_duration_seconds_count", {"server": "one"}) == asked
    name = "openvpn_management_command_failures_total"
    assert samples.get(name, {"server": "one", "reason": "refused"}) == 0
    assert (samples.get(name, {"server": "two", "reason": "refused"}) or 0) >= 1
    assert samples.label_values("openvpn_server_connected_clients", "server") == {"one"}


def test_without_a_management_address_there_is_no_collector() -> None:
    config = Config(servers=(OpenVpnServer("s", status=Path("/x")),))
    assert management.SPEC.build(build_context(Settings(config=config))) is None
