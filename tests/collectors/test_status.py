"""The status collector against files that a real OpenVPN writes, and that the test damages."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.collectors import status
from exporter.collectors.base import PartialResultError
from exporter.collectors.context import build_context
from exporter.collectors.status import StatusCollector
from exporter.config.model import Config, OpenVpnServer, Settings, UnixAddress
from exporter.probes import statuswatcher
from exporter.probes.statusfile import Reading, read_whole
from tests.support.openvpn import Lab, wait_until
from tests.support.pages import Samples, collected, scrape
from tests.support.statusfiles import version_1, version_23

S = {"server": "s"}
STATES = {"ok", "stale", "torn", "empty", "missing", "unreadable"}


@contextlib.contextmanager
def watching(*servers: OpenVpnServer) -> Iterator[StatusCollector]:
    collector = StatusCollector(Config(servers=servers), once=False)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def state(samples: Samples, server: str = "s") -> str:
    """The one state that is 1; all the others must be there and 0. Before the first look there are none."""
    if "openvpn_status_state" not in samples.names():
        return "not known"
    values = {each: samples.get("openvpn_status_state", {"server": server, "state": each}) for each in STATES}
    assert sorted(values.values(), key=str) == [0, 0, 0, 0, 0, 1], values
    return max(values, key=lambda each: values[each] or 0)


def look(path: Path, interval: float = 60.0) -> Samples:
    """A collector's first look."""
    with watching(OpenVpnServer("s", status=path, status_interval=interval)) as collector:
        wait_until(lambda: "openvpn_status_state" in collected([collector]).names(), "the first look")
        return collected([collector])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_real_file_of_every_version(version: int) -> None:
    """Clients come, go, and stand twice under one name; a stopped loop is stale and misses updates, then is well."""
    with Lab() as lab:
        server = lab.server(f"status-version {version}")
        with watching(OpenVpnServer("s", status=server.status, status_interval=1.0)) as collector:

            def clients(number: int) -> bool:
                samples = collected([collector])
                return samples.get("openvpn_server_connected_clients", S) == number and state(samples) == "ok"

            wait_until(lambda: clients(0), "nobody is connected")
            first, second = lab.client("alice"), lab.client("alice")
            first.wait_connected()
            second.wait_connected()
            wait_until(lambda: clients(2), "alice is connected twice")
            first.stop()
            wait_until(lambda: clients(1), "alice is connected once")
            told = collected([collector]).get("openvpn_status_update_time_seconds", S)
            assert told is not None
            assert abs(told - server.status.stat().st_mtime) < 5

            before = collected([collector]).get("openvpn_status_updates_missed_total", S)
            assert before is not None
            stopped = time.time()
            server.process.send_signal(signal.SIGSTOP)  # as a script does that runs for long
            wait_until(lambda: state(collected([collector])) == "stale", "it is stale")
            samples = collected([collector])
            assert (samples.get("openvpn_status_update_time_seconds", S) or 0) <= stopped + 1
            wait_until(
                lambda: (collected([collector]).get("openvpn_status_updates_missed_total", S) or 0) >= before + 3,
                "three updates are missed",
            )
            silent = time.time() - stopped
            server.process.send_signal(signal.SIGCONT)
            missed = (collected([collector]).get("openvpn_status_updates_missed_total", S) or 0) - before
            assert missed <= silent + 1, "never more than could have come"
            wait_until(lambda: clients(1), "it goes on")


def test_a_script_that_runs_for_long_shows_as_stale_and_missed() -> None:
    with Lab() as lab:
        server = lab.server(f"client-connect {lab.script('connect', 'sleep 6')}")
        with watching(OpenVpnServer("s", status=server.status, status_interval=1.0)) as collector:
            wait_until(lambda: state(collected([collector])) == "ok", "the file is written")
            client = lab.client("alice")
            wait_until(lambda: state(collected([collector])) == "stale", "it is stale while the script runs")
            client.wait_connected()
            wait_until(lambda: state(collected([collector])) == "ok", "it is well again")
            missed = collected([collector]).get("openvpn_status_updates_missed_total", S)
            assert missed is not None
            assert missed >= 3


def test_states_of_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "status"
    now = time.time()
    whole = version_23(["alice", "bob"], ",").replace(b"1795466409", str(int(now)).encode())

    assert state(look(path)) == "missing"
    path.write_bytes(whole)
    os.utime(path, (now - 10, now - 10))
    samples = look(path)
    assert state(samples) == "ok"
    assert samples.get("openvpn_server_connected_clients", S) == 2
    assert samples.get("openvpn_status_update_time_seconds", S) == int(now)

    path.write_bytes(whole[: len(whole) // 2])
    samples = look(path)
    assert state(samples) == "torn"
    assert samples.get("openvpn_server_connected_clients", S) is None
    assert samples.get("openvpn_status_update_time_seconds", S) == int(now)

    path.write_bytes(b"")  # as on a full disk, where its mtime goes on
    samples = look(path)
    assert state(samples) == "empty"
    assert samples.get("openvpn_status_update_time_seconds", S) is None

    for foreign in (b"hello\n" * 100, b"\x00" * 5000):
        path.write_bytes(foreign)
        assert state(look(path)) == "unreadable"

    path.write_bytes(whole.replace(str(int(now)).encode(), str(int(now) - 91).encode()))
    samples = look(path)
    assert state(samples) == "stale"
    assert samples.get("openvpn_status_updates_missed_total", S) == 0, "nobody was looking when it was missed"
    assert samples.get("openvpn_server_connected_clients", S) == 2, "as old as the time says"
    assert state(look(path, interval=120.0)) == "ok"

    path.unlink()
    path.mkdir()
    assert state(look(path)) == "unreadable"


def test_freshness_is_the_time_inside_not_the_mtime(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_bytes(version_1([], "2020-01-01 00:00:00"))
    assert state(look(path)) == "stale"


def test_an_unreadable_file_fails_the_collector_and_serves_the_others(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(version_23(["alice"], "\t"))
    config = Config(servers=(OpenVpnServer("s", status=tmp_path), OpenVpnServer("good", status=good)))
    with pytest.raises(PartialResultError, match=r"of server s: not a regular file") as caught:
        StatusCollector(config, once=True).collect(scrape())
    assert {family.metric.name for family in caught.value.families if hasattr(family, "metric")} >= {
        "openvpn_status_state",
        "openvpn_server_connected_clients",
    }


def test_a_missing_file_is_said_once_and_its_return_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "status"
    with watching(OpenVpnServer("s", status=path, status_interval=1.0)) as collector:
        wait_until(lambda: state(collected([collector])) == "missing", "it is looked for")
        time.sleep(1)  # for several looks more
        path.write_bytes(version_23([], ","))
        wait_until(lambda: state(collected([collector])) != "missing", "it is seen")
        time.sleep(1)
    assert [record.getMessage() for record in caplog.records] == [
        f"the status file {path} of server s is missing",
        f"the status file {path} of server s is there again",
    ]


def test_missed_updates_are_counted_between_scrapes(tmp_path: Path) -> None:
    """The file is written, then not for five intervals, then again; nobody scrapes in between."""
    path = tmp_path / "status"

    def write() -> float:
        now = time.time()
        temporary = tmp_path / "new"
        temporary.write_bytes(version_23([], ",").replace(b"1795466409", str(int(now)).encode()))
        temporary.replace(path)
        return now

    begun = write()
    with watching(OpenVpnServer("s", status=path, status_interval=1.0)) as collector:
        time.sleep(6.0)
        ended = write()
        wait_until(lambda: state(collected([collector])) == "ok", "the new time is seen")
        missed = collected([collector]).get("openvpn_status_updates_missed_total", S)
    assert missed is not None
    gap = int(ended) - int(begun)
    assert gap - 2 <= missed <= gap - 1, "the interval's grace is 2 s: updates may be that late"


def test_clients_come_from_the_file_only_where_there_is_no_management_address(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_bytes(version_23(["alice"], ","))
    one = OpenVpnServer("one", status=path)
    two = OpenVpnServer("two", status=path, management=UnixAddress("/x"))
    samples = collected([StatusCollector(Config(servers=(one, two)), once=True)])
    assert samples.label_values("openvpn_server_connected_clients", "server") == {"one"}
    assert samples.label_values("openvpn_status_update_time_seconds", "server") == {"one", "two"}


def test_both_collectors_share_one_page_with_one_family_of_clients() -> None:
    """A real server asked in its two ways, by the program itself: each server's number has one source."""
    with Lab() as lab:
        server = lab.server()
        lab.client("alice").wait_connected()
        wait_until(lambda: b"alice" in server.status.read_bytes(), "the status file has the client")
        config = lab.folder / "exporter.yml"
        link = lab.folder / "link.status"  # two servers may not name the same file
        link.symlink_to(server.status)
        config.write_text(
            f"servers:\n  - {{name: both, management: 'unix:{server.management}', "
            f"status: {server.status}, status_interval: 1s}}\n"
            f"  - {{name: file, status: {link}, status_interval: 1s}}\n"
        )
        command = [sys.executable, "-m", "exporter", "--once", "--config.file", str(config)]
        result = server.run(*command)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("# TYPE openvpn_server_connected_clients gauge") == 1
        samples = Samples(result.stdout)
        for name in ("both", "file"):
            assert samples.get("openvpn_server_connected_clients", {"server": name}) == 1
            assert state(samples, name) == "ok"
        assert "openvpn_status_updates_missed_total" not in samples.names(), "a single look misses nothing"
        for collector in ("management", "status"):
            assert samples.get("openvpn_mq_scrape_collector_success", {"collector": collector}) == 1


def test_a_file_system_that_hangs_delays_neither_scrape_nor_the_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known last is served, then the file counts as unreadable; when it answers again, all is well."""
    slow, good = tmp_path / "slow", tmp_path / "good"
    for path in (slow, good):
        path.write_bytes(version_23(["alice"], ","))
    answers = threading.Event()
    answers.set()

    def read(path: Path) -> Reading:
        if path == slow:
            answers.wait()
        return read_whole(path)

    monkeypatch.setattr(statuswatcher, "read_whole", read)
    monkeypatch.setattr(statuswatcher, "_HANGING", 0.5)
    servers = [OpenVpnServer(path.name, status=path, status_interval=1.0) for path in (slow, good)]
    try:
        with watching(*servers) as collector:
            for path in (slow, good):
                wait_until(lambda path=path: clients_of(collector, path.name) == 1, "both are read")  # type: ignore[misc]
            answers.clear()
            for path in (slow, good):
                path.write_bytes(version_23(["alice", "bob"], ","))
            wait_until(lambda: clients_of(collector, "good") == 2, "the other file is read")
            started = time.monotonic()
            wait_until(lambda: state(collected([collector]), "slow") == "unreadable", "the hanging read is noticed")
            assert clients_of(collector, "slow") is None
            with pytest.raises(
                PartialResultError, match=r"slow of server slow: a read has not returned for \d+ seconds"
            ):
                collector.collect(scrape())
            assert time.monotonic() - started < 30
            answers.set()
            wait_until(lambda: clients_of(collector, "slow") == 2, "it is read again")
            answers.clear()
            slow.write_bytes(b"")
            time.sleep(0.5)
            started = time.monotonic()
        assert time.monotonic() - started < 1.5, "the stop is not delayed for longer than a second"
    finally:
        answers.set()


def clients_of(collector: StatusCollector, server: str) -> float | None:
    return collected([collector]).get("openvpn_server_connected_clients", {"server": server})


def test_a_scrape_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status"
    path.write_bytes(version_23(["alice"], ","))
    threads: set[str] = set()

    def read(path: Path) -> Reading:
        threads.add(threading.current_thread().name)
        return read_whole(path)

    monkeypatch.setattr(statuswatcher, "read_whole", read)
    with watching(OpenVpnServer("s", status=path, status_interval=1.0)) as collector:
        wait_until(lambda: clients_of(collector, "s") == 1, "it is read")
        for number in range(3):
            path.write_bytes(version_23(["alice"] * number, ","))
            wait_until(lambda number=number: clients_of(collector, "s") == number, "it is read again")  # type: ignore[misc]
    assert threads == {"status s"}


def test_servers_come_and_go_and_the_counters_of_the_others_go_on(tmp_path: Path) -> None:
    one = OpenVpnServer("one", status=tmp_path / "one", status_interval=1.0)
    two = OpenVpnServer("two", status=tmp_path / "two", status_interval=1.0)
    with watching(one) as collector:

        def missed(server: str) -> float:
            return collected([collector]).get("openvpn_status_updates_missed_total", {"server": server}) or 0.0

        wait_until(lambda: missed("one") >= 1, "an update is missed")
        collector.reconfigure(Config(servers=(replace(one, management=UnixAddress("/x")), two)))
        assert missed("one") >= 1, "it goes on"
        wait_until(lambda: missed("two") >= 1, "the new one is watched")
        collector.reconfigure(Config(servers=(replace(one, status_interval=2.0),)))
        assert missed("one") == 0, "it is another watch"
        assert collected([collector]).label_values("openvpn_status_state", "server") <= {"one"}
        assert collector.active
        collector.reconfigure(Config())
        assert not collector.active
        assert not collected([collector]).names()
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("status one", "status two")]


def test_without_a_status_file_the_collector_is_not_active() -> None:
    config = Config(servers=(OpenVpnServer("s", management=UnixAddress("/x")),))
    built = status.SPEC.build(build_context(Settings(config=config)))
    assert built
    assert not built.active
    assert status.SPEC.build(build_context(Settings(config=config, once=True))) is None
