"""The management collector against real OpenVPN servers with real clients."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collectors import management
from exporter.collectors.base import PartialResultError
from exporter.collectors.context import build_context
from exporter.collectors.management import ManagementCollector
from exporter.config.model import Config, OpenVpnServer, Settings, UnixAddress
from exporter.openvpn.clients import OMITTED
from exporter.probes.poller import Poller
from tests.support.fake import PROC, Fake, answer, silent
from tests.support.openvpn import Lab, wait_until
from tests.support.pages import Samples, collected, scrape
from tests.support.watched import REASONS, S, configured, failures, of, wait_value, watching


def alice(samples: Samples) -> tuple[float, float]:
    labels = S | {"common_name": "alice"}
    received = samples.get("openvpn_server_client_received_bytes_total", labels)
    sent = samples.get("openvpn_server_client_sent_bytes_total", labels)
    return received or 0.0, sent or 0.0


def test_before_the_first_poll_counters_are_zero_and_nothing_else_is_claimed() -> None:
    samples = collected(
        [ManagementCollector(servers(OpenVpnServer("s", management=UnixAddress("/x"))), Path("/proc"), once=False)]
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
        version = server.version()
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


def test_a_restart_is_seen_and_sums_go_on(lab: Lab) -> None:
    server = lab.server()
    with watching(configured(server), of(server)) as collector:
        first = lab.client("alice")
        first.wait_connected()
        samples = wait_value(collector, "openvpn_server_client_connections", 1, common_name="alice")
        before = alice(samples)
        first.stop()
        server.stop()
        wait_value(collector, "openvpn_management_up", 0)

        def is_counted() -> bool:  # a moment after the poll's result shows
            counted = failures(collected([collector]))
            return bool(counted["refused"] or counted["protocol"])

        wait_until(is_counted, "the failure is counted")
        samples = collected([collector])
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
        samples = wait_value(collector, "openvpn_server_client_connections", 2, common_name=OMITTED)
        for name in ("openvpn_server_client_received_bytes_total", "openvpn_server_client_connections"):
            assert len(samples.label_values(name, "common_name")) == 3
        wait_value(collector, "openvpn_server_client_names_omitted", 2)
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
    collector = ManagementCollector(servers(one, two), Path("/proc"), once=False)
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


def test_without_a_management_address_the_collector_is_not_active() -> None:
    config = servers(OpenVpnServer("s", status=Path("/x")))
    built = management.SPEC.build(build_context(Settings(config=config)))
    assert built
    assert not built.active
    assert management.SPEC.build(build_context(Settings(config=config, once=True))) is None


def polls(collector: ManagementCollector, name: str) -> float:
    """Return how often a server was polled and answered, as its counters have it."""
    labels = {"server": name}
    return collected([collector]).get("openvpn_management_command_duration_seconds_count", labels) or 0.0


def test_servers_come_and_go_and_the_counters_of_the_others_go_on(tmp_path: Path) -> None:
    paths = {name: UnixAddress(str(tmp_path / name)) for name in "abc"}
    a, b, c = (OpenVpnServer(name, management=path, management_interval=0.05) for name, path in paths.items())
    with Fake(paths["a"], answer), Fake(paths["b"], answer) as second, Fake(paths["c"], answer):
        collector = ManagementCollector(Config(), PROC, once=False)
        assert not collector.active
        collector.start()
        try:
            collector.reconfigure(servers(a, b))
            assert collector.active
            wait_until(lambda: min(polls(collector, "a"), polls(collector, "b")) >= 2, "both are polled")
            counted = polls(collector, "a")
            collector.reconfigure(servers(replace(a, log=Path("/var/log/a.log")), c))
            asked = len(second.record)
            assert polls(collector, "a") >= counted, "what concerns other collectors changes nothing here"
            page = collected([collector])
            assert page.label_values("openvpn_management_commands_total", "server") == {"a", "c"}
            assert page.label_values("openvpn_management_up", "server") <= {"a", "c"}
            wait_until(lambda: polls(collector, "c") >= 2, "the new one is polled")
            assert len(second.record) == asked, "the old one is left alone"
            collector.reconfigure(servers(replace(a, management_interval=0.04)))
            assert polls(collector, "a") < counted, "a server that is polled in another way starts at 0"
            collector.reconfigure(Config())
            assert not collector.active
            assert not collected([collector]).names()
        finally:
            collector.stop()


def test_the_record_that_servers_share_is_known_from_the_configuration(tmp_path: Path) -> None:
    """Another server's script in a shared record is no reason for this one's silence; before and after it is shared."""
    record = tmp_path / "hooks.jsonl"
    pid = os.getpid()
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    record.write_text(
        f'{{"time":1,"event":"start","server":"b","hook":"client-connect","pid":{pid},"pid_start_ticks":{ticks}}}\n'
    )
    address = UnixAddress(str(tmp_path / "sock"))
    a = OpenVpnServer("s", management=address, management_interval=0.05, management_timeout=0.3, hooks=record)
    procfs = tmp_path / "proc"  # where no sockets are seen
    procfs.mkdir()
    (procfs / str(pid)).symlink_to(f"/proc/{pid}")
    with silent(tmp_path / "sock", 64):
        collector = ManagementCollector(servers(a, OpenVpnServer("b", hooks=record)), procfs, once=False)
        collector.start()
        try:
            wait_until(lambda: (failures(collected([collector]))["busy"] or 0) >= 2, "it is busy")
            assert failures(collected([collector]))["timeout"] == 0
            collector.reconfigure(servers(a))
            wait_until(lambda: (failures(collected([collector]))["timeout"] or 0) >= 2, "the script is its own now")
            assert (failures(collected([collector]))["busy"] or 0) >= 2, "its counters went on"
        finally:
            collector.stop()


def test_a_poller_without_a_thread_fails_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where TasksMax is used up: the others are polled, and it is not a success."""

    def refuse(_poller: Poller) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Poller, "start", refuse)
    collector = ManagementCollector(servers(OpenVpnServer("s", management=UnixAddress("/x"))), PROC, once=False)
    collector.start()
    with pytest.raises(PartialResultError, match="server s cannot be watched: can't start new thread"):
        list(collector.collect(scrape()))
    collector.stop()


def servers(*configured: OpenVpnServer) -> Config:
    return Config(servers=configured)
