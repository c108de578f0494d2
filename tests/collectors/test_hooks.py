"""The collector `hooks` over records that real hooks write."""

import logging
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.background import BackgroundThread
from exporter.collectors.base import PartialResultError
from exporter.collectors.context import BuildContext, build_context
from exporter.collectors.hooks import SPEC, HooksCollector
from exporter.config.model import Config, OpenVpnServer, Settings
from exporter.exposition.pages import Format, render
from exporter.exposition.render import Renderer
from exporter.openvpn.hookrecord import HOOK_NAMES
from exporter.sysv.keys import Ftok, NamedQueue
from tests.support.hooks import HOOK, PATH, Command, run, script
from tests.support.needs import need
from tests.support.openvpn import wait_until
from tests.support.pages import scrape
from tests.support.program import Samples, samples

CONNECT = {**PATH, "script_type": "client-connect"}


class Life:
    """One life of a collector, from start to stop."""

    def __init__(self, collector: HooksCollector) -> None:
        self.collector = collector
        self.fault: str | None = None

    def samples(self) -> Samples:
        self.fault = None
        try:
            families = list(self.collector.collect(scrape()))
        except PartialResultError as fault:
            families, self.fault = list(fault.families), str(fault)
        return samples(b"".join(render(families, Format.TEXT, Renderer())).decode())

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((f"openvpn_{name}", frozenset(labels.items())))

    def follows(self, record: Path, server: str) -> bool:
        """Whether it counts lines already; writes one of a hook that no test looks at."""
        with record.open("a") as file:
            file.write(f'{{"time":1.5,"event":"end","server":"{server}","hook":"up","pid":1,"result":"ok"}}\n')
        return bool(self.value("hook_runs_total", server=server, hook="up"))

    def wait(self, expected: float | None, name: str, **labels: str) -> None:
        wait_until(lambda: self.value(name, **labels) == expected, f"{name} {labels} is {expected}")


def built(context: BuildContext) -> HooksCollector:
    collector = SPEC.build(context)
    assert isinstance(collector, HooksCollector)
    return collector


@contextmanager
def life(record: Path, *names: NamedQueue, servers: tuple[str, ...] = ("vpn",), **settings: Any) -> Iterator[Life]:
    config = Config(queue_names=names, servers=tuple(OpenVpnServer(name, hooks=record) for name in servers))
    collector = built(build_context(Settings(config=config, **settings)))
    collector.start()
    try:
        one = Life(collector)
        wait_until(lambda: one.follows(record, servers[0]), "the record is being followed")
        yield one
    finally:
        collector.stop()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "hooks.jsonl"
    path.touch()
    return path


@contextmanager
def hanging(
    record: Path, folder: Path, *options: str, environment: Mapping[str, str] = CONNECT
) -> Iterator[subprocess.Popen[bytes]]:
    """A hook whose script runs until the end of its standard input; its end is waited for, or that of its killing."""
    command: Command = [
        HOOK,
        "--record",
        record,
        *options,
        "--",
        script(folder, "echo; read line; exit 0", f"hang{time.monotonic_ns()}"),
    ]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hook:
        assert hook.stdout
        hook.stdout.readline()
        yield hook


STATUS = NamedQueue("status", 0x4F560001)
LABELS = {"server": "vpn", "hook": "client-connect"}


def test_what_is_known_in_advance_is_there_at_zero(record: Path) -> None:
    """Of the queues, those that have names; of the rest nobody knows which there will be."""
    with life(record, NamedQueue("status", 0x4F560001)) as one:
        for name in ("hook_runs_total", "hook_running"):
            assert one.value(name, **LABELS) == 0
        for reason in ("exit_status", "not_executable", "signal", "timeout"):
            assert one.value("hook_failures_total", **LABELS, reason=reason) == 0
        assert one.value("status_updates_total", server="vpn", queue="status") == 0
        for reason in ("full", "no_queue", "too_big", "denied", "other"):
            assert one.value("status_updates_dropped_total", server="vpn", queue="status", reason=reason) == 0


def test_of_a_known_configuration_only_its_hooks_exist(record: Path, tmp_path: Path) -> None:
    """Another hook's counters all begin at 0 once a script of it has started, so that its failure is an increase."""
    config = Config(servers=(OpenVpnServer("vpn", hooks=record, script_hooks=frozenset({"client-connect"})),))
    collector = built(build_context(Settings(config=config)))
    one = Life(collector)

    def hooks(name: str) -> set[str]:
        found = one.samples()
        return {dict(labels)["hook"] for (metric, labels) in found if metric == f"openvpn_{name}"}

    assert hooks("hook_runs_total") == hooks("hook_failures_total") == {"client-connect", "other"}
    assert hooks("hook_verdicts_total") == {"client-connect"}
    collector.reconfigure(Config(servers=(OpenVpnServer("vpn", hooks=record),)))
    assert hooks("hook_runs_total") == hooks("hook_failures_total") == set(HOOK_NAMES)
    collector.reconfigure(config)
    collector.start()
    try:
        wait_until(lambda: hooks("hook_running") == {"client-connect", "other"}, "the record has been read")
        with hanging(record, tmp_path, environment={"script_type": "tls-verify"}):
            one.wait(1, "hook_running", server="vpn", hook="tls-verify")
            assert one.value("hook_failures_total", server="vpn", hook="tls-verify", reason="signal") == 0
            collector.reconfigure(config)
            assert hooks("hook_runs_total") == {"client-connect", "other", "tls-verify"}
    finally:
        collector.stop()


def test_before_the_record_has_been_read_nothing_is_known(record: Path) -> None:
    collector = built(build_context(Settings(config=Config(servers=(OpenVpnServer("vpn", hooks=record),)))))
    assert Life(collector).value("hook_running", **LABELS) is None
    assert Life(collector).value("hook_runs_total", **LABELS) == 0


def test_nothing_from_before(record: Path, tmp_path: Path) -> None:
    """What stood in the record before the exporter's first start is not counted as if it had happened now."""
    run(record, "--", script(tmp_path, "exit 1"), environment=CONNECT)
    with life(record) as one:
        run(record, "--", script(tmp_path, "exit 2"), environment=CONNECT)
        one.wait(1, "hook_failures_total", **LABELS, reason="exit_status")
        assert one.value("hook_runs_total", **LABELS) == 1


def test_a_script_that_runs(record: Path, tmp_path: Path) -> None:
    with life(record) as one:
        with hanging(record, tmp_path) as hook:
            one.wait(1, "hook_running", **LABELS)
            assert one.value("hook_runs_total", **LABELS) == 1
            assert one.value("hook_duration_seconds_count", **LABELS) == 0
            assert hook.stdin
            hook.stdin.close()
            one.wait(0, "hook_running", **LABELS)
        assert one.value("hook_duration_seconds_count", **LABELS) == 1
        assert one.value("hook_failures_total", **LABELS, reason="signal") == 0


def test_a_killed_hook_counts_as_a_signal(record: Path, tmp_path: Path) -> None:
    """Once its process is gone, and not before."""
    with life(record) as one:
        with hanging(record, tmp_path) as hook:
            one.wait(1, "hook_running", **LABELS)
            time.sleep(1.5)  # longer than between two looks at its process
            assert one.value("hook_failures_total", **LABELS, reason="signal") == 0
            hook.kill()
        one.wait(1, "hook_failures_total", **LABELS, reason="signal")
        assert one.value("hook_running", **LABELS) == 0
        assert one.value("hook_runs_total", **LABELS) == 1


def test_a_power_cut(record: Path, tmp_path: Path) -> None:
    """The same pid is there again after it, and is another process by the time of its start."""
    with life(record) as one:
        namespace = os.stat("/proc/self/ns/pid").st_ino
        with record.open("a") as file:
            file.write(
                '{"time":1.5,"event":"start","server":"x","hook":"client-connect",'
                f'"pid":{os.getpid()},"pid_start_ticks":1,"pid_namespace":{namespace}}}\n'
            )
        one.wait(1, "hook_failures_total", **LABELS, reason="signal")
        assert one.value("hook_running", **LABELS) == 0
        run(record, "--", script(tmp_path, "exit 0"), environment=CONNECT)
        one.wait(2, "hook_runs_total", **LABELS)


def test_over_a_restart(record: Path, tmp_path: Path) -> None:
    """A script that hangs is still known to run; one that ended or died meanwhile counts once, in the new life."""
    state = tmp_path / "state"
    with ExitStack() as stack:
        with life(record, state_directory=state) as one:
            stays, ends, dies = (stack.enter_context(hanging(record, tmp_path)) for _ in range(3))
            one.wait(3, "hook_running", **LABELS)
            assert one.value("hook_runs_total", **LABELS) == 3
        assert ends.stdin
        ends.stdin.close()
        ends.wait(60)
        dies.kill()
        dies.wait(60)
        with life(record, state_directory=state) as one:
            one.wait(1, "hook_failures_total", **LABELS, reason="signal")
            one.wait(1, "hook_running", **LABELS)
            assert one.value("hook_duration_seconds_count", **LABELS) == 1
            assert one.value("hook_runs_total", **LABELS) == 0, "they were counted in the life in which they began"
            assert stays.poll() is None
        with life(record, state_directory=state) as one:
            assert one.value("hook_failures_total", **LABELS, reason="signal") == 0
            one.wait(1, "hook_running", **LABELS)


def test_an_end_without_a_beginning_counts_as_a_run(record: Path, tmp_path: Path) -> None:
    """Its beginning was lost, or came before the exporter: each failure belongs to a run."""
    with hanging(record, tmp_path) as hook, life(record) as one:
        assert one.value("hook_runs_total", **LABELS) == 0
        assert hook.stdin
        hook.stdin.close()
        one.wait(1, "hook_runs_total", **LABELS)
        assert one.value("hook_running", **LABELS) == 0


@pytest.mark.parametrize("way", ["renamed", "removed"])
def test_rotation_under_running_scripts(record: Path, tmp_path: Path, way: str) -> None:
    """Beginnings in the old file and ends in the new one belong together."""
    with life(record) as one:
        with hanging(record, tmp_path):
            one.wait(1, "hook_running", **LABELS)
            if way == "renamed":
                record.rename(tmp_path / "hooks.jsonl.1")
            else:
                record.unlink()
            for number in range(5):
                run(record, "--", script(tmp_path, "exit 1"), environment=CONNECT)
                one.wait(number + 1, "hook_failures_total", **LABELS, reason="exit_status")
        one.wait(0, "hook_running", **LABELS)
        assert one.value("hook_runs_total", **LABELS) == 6
        assert one.value("hook_failures_total", **LABELS, reason="signal") == 0


def test_many_at_once_with_rotation(record: Path, tmp_path: Path) -> None:
    """A hundred hooks while the record is rotated again and again: each is counted, once."""
    body = script(tmp_path, "exit $1")
    with life(record) as one:
        for batch in range(5):
            hooks = [
                subprocess.Popen([HOOK, "--record", record, "--", body, str(number % 2)], env=CONNECT)
                for number in range(20)
            ]
            record.rename(tmp_path / f"hooks.jsonl.{batch + 1}")
            for hook in hooks:
                hook.wait(60)
            one.wait(20 * (batch + 1), "hook_runs_total", **LABELS)
        one.wait(0, "hook_running", **LABELS)
        one.wait(50, "hook_failures_total", **LABELS, reason="exit_status")
        assert one.value("hook_runs_total", **LABELS) == 100
        assert one.value("hook_duration_seconds_count", **LABELS) == 100


@pytest.mark.usefixtures("queues")
def test_queue_labels(record: Path, tmp_path: Path) -> None:
    """The configured name, by key or by ftok, also while ftok's file is not there; else the key; bounded in number."""
    late = tmp_path / "late"
    names = (NamedQueue("status", 0x4F560001), NamedQueue("late", Ftok(str(late), 1)))

    def post(queue: str) -> None:
        run(record, "--queue", queue, "--", script(tmp_path, "exit 0"), environment=CONNECT)

    with life(record, *names) as one:
        post("0x4f560001")
        one.wait(1, "status_updates_dropped_total", server="vpn", queue="status", reason="no_queue")
        post(f"ftok:{late}:1")
        one.wait(1, "status_updates_dropped_total", server="vpn", queue="late", reason="no_queue")
        late.touch()
        post(f"ftok:{late}:1")
        one.wait(2, "status_updates_total", server="vpn", queue="late")
        post("77")
        one.wait(1, "status_updates_total", server="vpn", queue="0x0000004d")
        assert one.value("status_updates_dropped_total", server="vpn", queue="0x0000004d", reason="full") == 0
        end = record.read_text().splitlines()[-1]
        with record.open("a") as file:
            file.writelines(end.replace("0x0000004d", f"0x{number:08x}") + "\n" for number in range(1000, 1200))
        one.wait(103, "status_updates_total", server="vpn", queue="other")
        queues = {dict(labels)["queue"] for name, labels in one.samples() if name == "openvpn_status_updates_total"}
        assert len(queues) == 101


def test_a_queue_that_gets_another_name(record: Path) -> None:
    """Its series under the old one are gone; those of other queues go on."""
    other = NamedQueue("other queue", 7)
    with life(record, STATUS, other) as one:
        with record.open("a") as file:
            for queue in (STATUS.key, other.key, 8):
                end = '{"time":1.5,"event":"end","server":"vpn","hook":"up","pid":1,"result":"ok","queue":'
                file.write(f'{end}"0x{queue:08x}"}}\n')
        one.wait(1, "status_updates_total", server="vpn", queue="0x00000008")
        one.collector.reconfigure(
            Config(servers=(OpenVpnServer("vpn", hooks=record),), queue_names=(STATUS._replace(name="new"), other))
        )
        found = {
            dict(labels)["queue"]: value for (name, labels), value in one.samples().items() if "updates_total" in name
        }
        assert found == {"new": 0, "other queue": 1, "0x00000008": 1}
        dropped = [dict(labels)["queue"] for name, labels in one.samples() if "updates_dropped" in name]
        assert set(dropped) == set(found)


def test_servers_that_share_a_record(record: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Are told apart by the name that the hook writes; a server that nobody knows is left out, and said so once."""
    with caplog.at_level(logging.WARNING), life(record, servers=("udp", "tcp")) as one:
        for server in ("udp", "tcp", "tcp", "stranger", "stranger2"):
            run(record, "--server", server, "--", script(tmp_path, "exit 0"), environment=CONNECT)
        one.wait(2, "hook_runs_total", server="tcp", hook="client-connect")
        assert one.value("hook_runs_total", server="udp", hook="client-connect") == 1
        servers = {dict(labels).get("server") for _, labels in one.samples()}
        assert servers == {"udp", "tcp"}
        wait_until(lambda: "give the hook that name by --server" in caplog.text, "the stranger is told of")
    assert caplog.text.count("give the hook that name by --server") == 1


def test_lines_of_others_are_left_out(record: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), life(record) as one:
        with record.open("ab") as file:
            file.write(b"garbage\n{}\n\xff\x00\n[1]\n\n")
        run(record, "--", script(tmp_path, "exit 0"), environment=CONNECT)
        one.wait(1, "hook_runs_total", **LABELS)
        assert one.fault is None
    assert caplog.text.count("openvpn-mq-hook did not write") == 1


def test_a_killed_hook_is_found_while_the_record_is_busy(record: Path, tmp_path: Path) -> None:
    """On a busy server there are new lines at each look."""
    with life(record) as one, hanging(record, tmp_path) as hook:
        one.wait(1, "hook_running", **LABELS)
        stop = threading.Event()
        line = b'{"time":1.5,"event":"end","server":"x","hook":"up","pid":1,"result":"ok"}\n'

        def write() -> None:
            with record.open("ab", buffering=0) as file:
                while not stop.wait(0.01):
                    file.write(line)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            time.sleep(1.5)
            hook.kill()
            hook.wait()
            one.wait(1, "hook_failures_total", **LABELS, reason="signal")
            assert one.value("hook_running", **LABELS) == 0
        finally:
            stop.set()
            writer.join()


@contextmanager
def followed(path: Path) -> Iterator[Life]:
    """A life that does not wait until the record is there."""
    collector = built(build_context(Settings(config=Config(servers=(OpenVpnServer("vpn", hooks=path),)))))
    collector.start()
    try:
        yield Life(collector)
    finally:
        collector.stop()


def test_a_record_that_does_not_exist_yet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No hook has run: nothing runs, nothing has failed, and the log says so once; the first line counts."""
    record = tmp_path / "hooks.jsonl"
    with caplog.at_level(logging.INFO), followed(record) as one:
        one.wait(0, "hook_running", **LABELS)
        assert one.fault is None
        assert one.value("hook_runs_total", **LABELS) == 0
        time.sleep(1.5)
        assert caplog.text.count("does not exist yet") == 1
        run(record, "--", script(tmp_path, "exit 1"), environment=CONNECT)
        one.wait(1, "hook_failures_total", **LABELS, reason="exit_status")
        one.wait(0, "hook_running", **LABELS)
        assert one.fault is None
        wait_until(lambda: "exists now" in caplog.text, "its creation is logged")


def test_a_record_that_cannot_be_there(tmp_path: Path) -> None:
    """Its folder is missing, so no hook can write it: a failure that says why; how many run is not known."""
    record = tmp_path / "folder" / "hooks.jsonl"
    with followed(record) as one:
        wait_until(lambda: bool(one.samples()) and one.fault is not None, "the missing folder is noticed")
        assert one.fault == f"cannot read {record}: No such file or directory"
        assert one.value("hook_running", **LABELS) is None
        assert one.value("hook_runs_total", **LABELS) == 0
        record.parent.mkdir()
        run(record, "--", script(tmp_path, "exit 1"), environment=CONNECT)
        one.wait(1, "hook_failures_total", **LABELS, reason="exit_status")
        one.wait(0, "hook_running", **LABELS)
        assert one.fault is None


def test_a_record_without_a_thread_fails_the_collector(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where TasksMax is used up: how many scripts run is not known then."""

    def refuse(_thread: BackgroundThread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(BackgroundThread, "start", refuse)
    with followed(record) as one:
        assert one.samples()
        assert one.fault == f"cannot follow {record}: can't start new thread"
        assert one.value("hook_running", **LABELS) is None


def test_a_queue_whose_path_is_long(record: Path, tmp_path: Path) -> None:
    """The hook cuts the queue's name at 256 characters: the run counts as it ended, its update under that name."""
    path = "/" + "x" * 300
    long = NamedQueue("long", Ftok(path, 1))
    with life(record, long) as one:
        run(record, "--queue", f"ftok:{path}:1", "--", script(tmp_path, "exit 0"), environment=CONNECT)
        one.wait(1, "status_updates_dropped_total", server="vpn", queue="long", reason="no_queue")
        one.wait(0, "hook_running", **LABELS)
        assert one.value("hook_failures_total", **LABELS, reason="signal") == 0


def test_servers_come_and_go_and_the_counters_of_the_others_go_on(record: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.touch()
    body = script(tmp_path, "exit 0")
    one_server, shared = OpenVpnServer("vpn", hooks=record), OpenVpnServer("tcp", hooks=record)
    with life(record) as one:
        run(record, "--", body, environment=CONNECT)
        one.wait(1, "hook_runs_total", **LABELS)
        one.collector.reconfigure(Config(servers=(replace(one_server, log=Path("/x")), shared)))
        run(record, "--server", "vpn", "--", body, environment=CONNECT)
        run(record, "--server", "tcp", "--", body, environment=CONNECT)
        one.wait(2, "hook_runs_total", **LABELS)
        one.wait(1, "hook_runs_total", server="tcp", hook="client-connect")
        one.collector.reconfigure(Config(servers=(one_server, replace(shared, hooks=other)), queue_names=(STATUS,)))
        assert one.value("hook_runs_total", **LABELS) == 2
        assert one.value("hook_runs_total", server="tcp", hook="client-connect") == 0, "it has another record now"
        assert one.value("status_updates_total", server="vpn", queue="status") == 0
        wait_until(lambda: one.follows(other, "tcp"), "the new record is being followed")
        run(other, "--", body, environment=CONNECT)
        one.wait(1, "hook_runs_total", server="tcp", hook="client-connect")
        one.collector.reconfigure(Config(servers=(one_server,)))
        assert {dict(labels).get("server") for _, labels in one.samples()} == {"vpn"}
        run(record, "--", body, environment=CONNECT)
        one.wait(3, "hook_runs_total", **LABELS)
        one.collector.reconfigure(Config())
        assert not one.collector.active
        assert not one.samples()


def test_the_page_is_as_documented(record: Path, tmp_path: Path) -> None:
    """Every metric of the documentation's section, and promtool finds nothing amiss."""
    need("promtool")
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    section = text.partition("## Collector `hooks`")[2].partition("\n## ")[0]
    expected = set(re.findall(r"^\| (openvpn_\w+) ", section, re.MULTILINE))
    with life(record, NamedQueue("status", 1)) as one:
        run(record, "--queue", "1", "--", script(tmp_path, "exit 0"), environment=CONNECT)
        one.wait(1, "hook_duration_seconds_count", **LABELS)
        page = b"".join(render(list(one.collector.collect(scrape())), Format.TEXT, Renderer())).decode()
    assert set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)) == expected
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_nothing_to_follow() -> None:
    """Without a record the collector is not active, and with --once there is none."""
    built = SPEC.build(build_context(Settings()))
    assert built
    assert not built.active
    servers = (OpenVpnServer("vpn", hooks=Path("/nonexistent")),)
    assert SPEC.build(build_context(Settings(config=Config(servers=servers), once=True))) is None
