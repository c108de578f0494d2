"""Collector `log` over files and rules, as the exporter serves it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import exporter.collectors.log
import exporter.collectors.log_server_counts
from exporter.background import BackgroundThread
from exporter.collectors.base import Families, PartialResultError
from exporter.collectors.context import build_context
from exporter.collectors.log import SPEC, LogCollector
from exporter.collectors.log_server import ServerLog
from exporter.collectors.log_server_counts import families
from exporter.config import load as config_load
from exporter.config.model import Config, LogRule, OpenVpnServer, Settings
from exporter.errors import BadInputError, RefusedError
from exporter.exposition.families import Metric
from exporter.exposition.pages import Format, render
from exporter.exposition.render import Renderer
from exporter.openvpn.messages import HOOKS, possible_failures
from tests.support.openvpn import wait_until
from tests.support.pages import scrape
from tests.support.program import Program, Samples, running
from tests.support.program import samples as page_samples

WARNING = b"WARNING: Failed running command (--client-connect): external program exited with error status: 1\n"
DATED = b"2026-11-23 20:40:09 "


class Log:
    """A server's counts, fed by hand."""

    def __init__(self, rules: tuple[LogRule, ...] = (), tag: str | None = None) -> None:
        self.log = ServerLog("s", tag, clock=lambda: 1234.5)
        self.log.adopt_rules(rules)
        self.log.counts.possible_failures = possible_failures(None)

    def failures(self) -> float | None:
        return self.value("openvpn_script_failures_total", hook="client-connect", reason="exit_status")

    def value(self, name: str, **labels: str) -> float | None:
        return samples(families({"s": self.log.counts})).get((name, frozenset({"server": "s", **labels}.items())))


def samples(found: Families) -> Samples:
    """Every sample of families by name and labels."""
    return page_samples(b"".join(render(list(found), Format.TEXT, Renderer())).decode())


# One server's lines


def test_every_meaning_is_counted() -> None:
    log = Log()
    log.log.on_lines(
        DATED + WARNING + DATED + b"TLS Error: x\n" + DATED + b"MBUF: mbuf packet dropped\n"
        + DATED + b"Dropped 42 initial handshake packets due to --connect-freq-initial 100 10\n"
        + DATED + b"17 variation(s) on previous 3 message(s) suppressed by --mute\nMessage queue dropped\n"
        + b"x y MULTI: packet dropped due to output saturation (multi_add_mbuf)\n"
        + b"Nov 23 20:40:09 vpn1 openvpn[1]: message repeated 9 times: [ " + DATED + b"MBUF: mbuf packet dropped]\n"
    )  # fmt: skip
    assert log.failures() == 1
    assert log.value("openvpn_log_events_total", event="tls_error") == 1
    assert log.value("openvpn_packets_dropped_total", reason="mbuf") == 10
    assert log.value("openvpn_packets_dropped_total", reason="handshake_rate") == 42
    assert log.value("openvpn_log_suppressed_lines_total") == 17
    assert log.value("openvpn_log_message_queue_lines_total", kind="dropped") == 1
    assert log.value("openvpn_log_unread_lines_total") == 1
    assert log.value("openvpn_log_lines_total") == 8


def test_output_of_scripts_only_counts_as_lines_and_queue_lines() -> None:
    log = Log()
    log.log.on_output(WARNING + b"Message queue full\n")
    assert log.failures() == 0
    assert log.value("openvpn_log_lines_total") == 2
    assert log.value("openvpn_log_message_queue_lines_total", kind="full") == 1
    assert log.value("openvpn_log_last_line_timestamp_seconds") == 1234.5


@pytest.mark.parametrize("carrier", [b"", b"2026-11-26T04:06:58.1Z stdout F ", b"vpn-1  | "])
@pytest.mark.parametrize("stamp", [b"", DATED])
def test_lines_that_end_as_a_terminals_do(carrier: bytes, stamp: bytes, tmp_path: Path) -> None:
    """As those of a container with `tty: true`."""
    log = Log(rules(tmp_path, "  - {name: status, match: 'status: 1$'}\n"))
    start = carrier + stamp
    lines = start + b"Initialization Sequence Completed\n" + start + b"192.0.2.1:5 " + WARNING
    log.log.on_lines(lines.replace(b"\n", b"\r\n"))
    assert log.failures() == 1
    assert log.value("openvpn_log_rule_matches_total", rule="status") == 1
    assert log.value("openvpn_log_lines_total") == 2


def test_of_a_known_configuration_only_its_hooks_exist_and_what_was_counted_stays() -> None:
    log = ServerLog("s")
    log.on_lines(WARNING)
    log.counts.possible_failures = possible_failures(frozenset({"up"}))
    found = samples(families({"s": log.counts}))
    failures = {labels: value for (name, labels), value in found.items() if name == "openvpn_script_failures_total"}
    by_hook: dict[str, float] = {}
    for labels, value in failures.items():
        hook = dict(labels)["hook"]
        by_hook[hook] = by_hook.get(hook, 0) + value
    assert by_hook == {"up-down": 0, "client-connect": 1, "plugin": 0}


def test_every_series_that_can_be_foreseen_begins_at_zero_and_no_other() -> None:
    log = Log()
    for hook in HOOKS:
        on_a_server = hook not in ("ipchange", "dns-updown")
        assert log.value("openvpn_script_failures_total", hook=hook, reason="signal") == (0 if on_a_server else None)
        deferred = log.value("openvpn_script_failures_total", hook=hook, reason="deferred")
        assert deferred == (0 if hook == "client-connect" else None)
    for name, label, value in (
        ("openvpn_log_events_total", "event", "max_clients"),
        ("openvpn_packets_dropped_total", "reason", "mbuf"),
        ("openvpn_log_message_queue_lines_total", "kind", "dropped"),
    ):
        assert log.value(name, **{label: value}) == 0
    assert log.value("openvpn_log_unread_lines_total") == 0
    assert log.value("openvpn_log_last_line_timestamp_seconds") is None
    log.log.on_lines(WARNING.replace(b"--client-connect", b"--ipchange"))
    assert log.value("openvpn_script_failures_total", hook="ipchange", reason="exit_status") == 1


def test_any_bytes_are_counted() -> None:
    log = Log()
    log.log.on_lines(b"\xff\xfe Message queue \xff full\n\0\0\n\n" + b"/" * 100_000 + b" --mute\n")
    assert log.value("openvpn_log_lines_total") == 4
    assert log.value("openvpn_log_message_queue_lines_total", kind="full") == 1


def test_a_prefix_that_is_not_known_is_told_once_with_an_example(caplog: pytest.LogCaptureFixture) -> None:
    """And is a fault, once it is that of most lines of OpenVPN's."""
    log = Log()
    for _ in range(3):
        assert log.log.fault is None
        log.log.on_lines(b"(vpn) Initialization Sequence Completed\n")
    fault = log.log.fault
    assert fault
    assert "most of OpenVPN's lines have a prefix that is not known, such as '(vpn) Initialization" in fault
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    log.log.on_lines((DATED + b"Initialization Sequence Completed\n") * 4)
    assert log.log.fault is None


@pytest.mark.parametrize("tag", ["ovpn-udp", "ovpn-tcp", "my vpn"])
def test_servers_that_share_a_log_are_told_apart_by_tag(tag: str) -> None:
    """Each counts its own lines only, repeated ones too; a tag in the midst of a line is none."""
    log = Log(tag=tag)
    line = b"Nov 26 07:14:39 vm %s[4711]: alice/192.0.2.1:5 " + WARNING
    other = {"ovpn-udp": b"ovpn-tcp", "ovpn-tcp": b"ovpn-udp", "my vpn": b"vpn"}[tag]
    log.log.on_lines(line % tag.encode() + line % other + b"Nov 26 07:14:39 vm last message repeated 9 times\n")
    log.log.on_lines(line % other + b"Nov 26 07:14:39 vm %s[1]: it is  %s[1]: " % (other, tag.encode()) + WARNING)
    log.log.on_lines(line % other + line % tag.encode() + b"Nov 26 07:14:39 vm last message repeated 2 times\n")
    assert log.failures() == 4
    assert log.value("openvpn_log_lines_total") == 3


# The user's rules


def rules(tmp_path: Path, text: str) -> tuple[LogRule, ...]:
    config = tmp_path / "config.yml"
    config.write_text(f"log_rules:\n{text}")
    return config_load.load(config).log_rules


def test_rules_count_lines_that_match_somewhere(tmp_path: Path) -> None:
    log = Log(rules(tmp_path, "  - {name: radius, match: 'radius: timeout'}\n  - {name: ends, match: '^a.*b$|^$'}\n"))
    log.log.on_lines(b"x radius: timeout, radius: timeout\na\nb\na b\n\nradius:\ntimeout\naab \n")
    assert log.value("openvpn_log_rule_matches_total", rule="radius") == 1
    assert log.value("openvpn_log_rule_matches_total", rule="ends") == 2


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(a*)*b", "((a{1,10}){1,10}){1,10}b", "(.*)*(.*)*(.*)*=", "a*", "$"])
def test_no_pattern_stalls(tmp_path: Path, pattern: str) -> None:
    """Patterns for which others take until the end of the world; the time may only grow with the text."""
    (rule,) = rules(tmp_path, f"  - {{name: bad, match: '{pattern}'}}\n")
    rule.count(b"a" * 10_000 + b"c\n")
    begin = time.process_time()
    rule.count(b"a" * 100_000 + b"c\n")
    assert time.process_time() - begin < 20


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("  - {name: a, match: '('}\n", r":2: match '\(' is not a regular expression of RE2 .*: missing \)"),
        ("  - {name: a, match: '(?<=a)b'}\n", "no look-around, no back-references"),
        ("  - {name: a, match: '(a)\\1'}\n", "invalid escape sequence"),
        ("  - {name: a, match: 'a)(b'}\n", r"unexpected \)"),
        ("  - {name: a, match: '\\A[a-z]'}\n", r"has \\A, which would depend on how lines are read; use \^ and \$"),
        ("  - {name: a, match: 'end\\z'}\n", r"has \\z, which"),
        ("  - {name: a, match: '(?i-m:^a)'}\n", r"has \(\?i-m, which"),
        ("  - {name: a}\n", "an item of log_rules needs the key 'match'"),
        ("  - {name: a, match: b}\n  - {name: a, match: c}\n", ":3: the rule name 'a' is given twice"),
        ("  a: b\n", "log_rules must be a list"),
    ],
)
def test_a_rule_that_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadInputError, match=complaint):
        rules(tmp_path, text)


@pytest.mark.parametrize("pattern", [r"\\\\A", r"\\Q\\z\\E", r"(?-i:m)", "A|z"])
def test_what_only_looks_like_the_ends_of_a_batch(tmp_path: Path, pattern: str) -> None:
    assert len(rules(tmp_path, f'  - {{name: a, match: "{pattern}"}}\n')) == 1


# Built from settings


def built(**settings: Any) -> LogCollector:
    collector = SPEC.build(build_context(Settings(**settings)))
    assert isinstance(collector, LogCollector)
    return collector


def test_nothing_to_read_and_a_single_look() -> None:
    """No server with a log: not active; --once: no collector at all, for it could only show zeros."""
    server = OpenVpnServer("s", log=Path("/nowhere/server.log"))
    assert not built().active
    assert not built(config=Config(servers=(OpenVpnServer("s"),))).active
    assert built(config=Config(servers=(server,))).active
    assert SPEC.build(build_context(Settings(config=Config(servers=(server,)), once=True))) is None


def test_a_new_configuration(tmp_path: Path) -> None:
    """Counts go on for what is as before, end for what is gone, and begin for what is new."""
    logs = {name: tmp_path / f"{name}.log" for name in ("a", "b", "c")}
    for log in logs.values():
        log.touch()
    a, b, c = (OpenVpnServer(name, log=log) for name, log in logs.items())
    (rule,) = rules(tmp_path, "  - {name: r, match: WARNING}\n")
    collector = built(config=Config(servers=(a, b)), state_directory=tmp_path / "state")
    collector.start()

    def lines(name: str) -> float | None:
        return samples(collector.collect(scrape())).get(("openvpn_log_lines_total", frozenset({("server", name)})))

    def write(*names: str) -> None:
        for name in names:
            with logs[name].open("ab") as file:
                file.write(WARNING)

    try:
        wait_until(lambda: len(list((tmp_path / "state").glob("*.json"))) == 2, "places are remembered")
        write("a", "b", "c")
        wait_until(lambda: (lines("a"), lines("b"), lines("c")) == (1, 1, None), "the first lines")
        collector.reconfigure(Config(servers=(replace(a, status_interval=9.0), c), log_rules=(rule,)))
        assert lines("b") is None
        wait_until(lambda: len(list((tmp_path / "state").glob("*.json"))) == 3, "the new one's place too")
        write("a", "b", "c")
        wait_until(lambda: (lines("a"), lines("c")) == (2, 1), "the second lines")
        name = ("openvpn_log_rule_matches_total", frozenset({("server", "a"), ("rule", "r")}))
        assert samples(collector.collect(scrape()))[name] == 1
        collector.reconfigure(Config(servers=()))
        assert not collector.active
        collector.reconfigure(Config(servers=(b,)))  # not read meanwhile, and remembered where
        wait_until(lambda: lines("b") == 1, "what was written while it was not followed")
    finally:
        collector.stop()


def test_servers_that_share_a_log(tmp_path: Path) -> None:
    """The log is read once; each line counts for one of them."""
    log = tmp_path / "syslog"
    log.touch()
    servers = tuple(OpenVpnServer(tag, log=log, syslog_tag=f"ovpn-{tag}") for tag in ("udp", "tcp"))
    collector = built(config=Config(servers=servers), state_directory=tmp_path / "state")
    collector.start()

    def failures(server: str) -> float:
        labels = {("server", server), ("hook", "client-connect"), ("reason", "exit_status")}
        return samples(collector.collect(scrape()))["openvpn_script_failures_total", frozenset(labels)]

    try:
        wait_until(lambda: any((tmp_path / "state").glob("*.json")), "its place is remembered")
        log.write_bytes(b"Nov 26 07:14:39 vm ovpn-udp[4711]: " + WARNING)
        wait_until(lambda: failures("udp") == 1, "it is counted")
        assert failures("tcp") == 0
        assert len(list((tmp_path / "state").glob("*.json"))) == 1
    finally:
        collector.stop()


@pytest.mark.parametrize(
    ("servers", "complaint"),
    [
        ("{name: a, log: /l}\n  - {name: b, log: /x/../l}", ":3: servers 'a' and 'b' have the same log; give each one"),
        ("{name: a, log: /l, syslog_tag: t}\n  - {name: b, log: /l}", "have the same log; give each one's syslog_tag"),
        ("{name: a, log: /l, syslog_tag: t}\n  - {name: b, log: /l, syslog_tag: t}", "same log and syslog_tag"),
        ("{name: a, journal: o.service}\n  - {name: b, journal: o.service}", "have the same journal unit"),
        ("{name: a, journal: o.service, syslog_tag: t}", "'a' has syslog_tag, which needs log"),
    ],
)
def test_servers_whose_lines_cannot_be_told_apart(tmp_path: Path, servers: str, complaint: str) -> None:
    config = tmp_path / "config.yml"
    config.write_text(f"servers:\n  - {servers}\n")
    with pytest.raises(BadInputError, match=complaint):
        config_load.load(config)


def test_a_state_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = Config(servers=(OpenVpnServer("s", log=tmp_path / "server.log"),))
    with pytest.raises(RefusedError, match=r"cannot write to --state\.directory"):
        built(config=config, state_directory=tmp_path / "file")


def test_one_log_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    """A fault that names the server; counters are served all the same."""
    good, bad = tmp_path / "good.log", tmp_path / "bad"
    good.touch()
    bad.mkdir()
    collector = built(config=Config(servers=(OpenVpnServer("good", log=good), OpenVpnServer("bad", log=bad))))
    collector.start()

    def works() -> bool:
        with contextlib.suppress(PartialResultError):
            return bool(list(collector.collect(scrape())))
        return False

    try:
        wait_until(lambda: not works(), "the fault")
        with pytest.raises(PartialResultError, match=f"server bad: cannot read {bad}: not a regular file") as raised:
            list(collector.collect(scrape()))
        assert list(raised.value.families)
        bad.rmdir()
        bad.touch()
        wait_until(works, "it recovers by itself")
    finally:
        collector.stop()


def test_a_log_without_a_thread_fails_the_collector_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where TasksMax is used up: at the start, and when servers are added while it runs."""
    logs = [tmp_path / "a.log", tmp_path / "b.log", tmp_path / "c.log"]
    for log in logs:
        log.touch()
    a, b, c = (OpenVpnServer(log.stem, log=log) for log in logs)
    start = BackgroundThread.start
    started: list[BackgroundThread] = []

    def refuse_all_but_one(thread: BackgroundThread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(BackgroundThread, "start", refuse_all_but_one)
    collector = built(config=Config(servers=(a, b)))
    collector.start()
    try:
        with pytest.raises(PartialResultError, match=r"^server b: cannot follow it: can't start new thread$"):
            list(collector.collect(scrape()))
        collector.reconfigure(Config(servers=(c, a)))
        with pytest.raises(PartialResultError, match=r"^server c: cannot follow it: can't start new thread$"):
            list(collector.collect(scrape()))
        collector.reconfigure(Config(servers=(a,)))
        assert list(collector.collect(scrape()))
    finally:
        collector.stop()


# Served


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Program]:
    """An exporter of two logs that are not there yet, by flags alone."""
    flags = [f"--openvpn.log={tmp_path / name}" for name in ("udp.log", "tcp.log")]
    with running(*flags) as program:
        program.addresses()
        yield program


def test_a_log_that_is_missing_is_a_failing_collector_that_retries(two: Program, tmp_path: Path) -> None:
    """The exporter goes on, says so once, and reads the log from its beginning when it appears."""
    wait_until(lambda: (two.value("openvpn_log_read_errors_total", server="udp") or 0) >= 2, "attempts")
    assert two.value("openvpn_mq_scrape_collector_success", collector="log") == 0
    assert two.value("openvpn_mq_scrape_collector_success", collector="queues") == 1
    (tmp_path / "udp.log").write_bytes(DATED + WARNING)
    (tmp_path / "tcp.log").write_bytes(b"")
    failures = {"hook": "client-connect", "reason": "exit_status"}
    wait_until(lambda: two.value("openvpn_script_failures_total", server="udp", **failures) == 1, "it is counted")
    assert two.value("openvpn_script_failures_total", server="tcp", **failures) == 0
    wait_until(lambda: two.value("openvpn_mq_scrape_collector_success", collector="log") == 1, "it recovers")
    said = [line for line in two.log if "No such file" in line]
    assert len(said) <= 3  # both, one of the two, as they come and go; never one a scrape
    assert sum("without --state.directory" in line for line in two.log) == 1
    assert not any("Traceback" in line for line in two.log)


def test_every_metric_is_on_the_page(tmp_path: Path) -> None:
    """As soon as there is a line; each but the last line's time before that."""
    log = tmp_path / "server.log"
    log.touch()
    config = tmp_path / "config.yml"
    config.write_text(f"servers: [{{name: s, log: {log}}}]\nlog_rules: [{{name: r, match: x}}]\n")
    modules = (exporter.collectors.log, exporter.collectors.log_server_counts)
    declared = {metric.name for module in modules for metric in vars(module).values() if isinstance(metric, Metric)}
    flags = (f"--config.file={config}", f"--state.directory={tmp_path / 'state'}", "--no-collector.scripts")
    with running(*flags) as program:

        def names() -> set[str]:
            return {name for name, labels in program.samples() if ("server", "s") in labels}

        declared.add("openvpn_verify_errors_total")  # the others of connections: once there is one
        wait_until(lambda: any((tmp_path / "state").glob("*.json")), "its place is remembered")
        assert names() == declared - {"openvpn_log_last_line_timestamp_seconds"}
        before = time.time()
        log.write_bytes(b"x\n")
        wait_until(lambda: names() == declared, "all of them")
        last = program.value("openvpn_log_last_line_timestamp_seconds", server="s")
        assert last
        assert before - 1 < last < time.time() + 1
        assert program.value("openvpn_log_rule_matches_total", server="s", rule="r") == 1


def test_a_restart_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Counters begin at zero, and count each line that came since, the log rotated meanwhile or not."""
    log = tmp_path / "server.log"
    log.touch()
    flags = (f"--openvpn.log={log}", f"--state.directory={tmp_path / 'state'}")

    def lines(program: Program) -> float:
        return program.value("openvpn_log_lines_total", server="server") or 0

    with running(*flags) as program:
        wait_until(lambda: any((tmp_path / "state").glob("*.json")), "its place is remembered")
        log.write_bytes(b"one\n")
        wait_until(lambda: lines(program) == 1, "the first line")
        assert program.stop() == 0
    with log.open("ab") as file:
        file.write(b"two\n")
    log.rename(f"{log}.1")
    log.write_bytes(b"three\n")
    with running(*flags) as program:
        wait_until(lambda: lines(program) == 2, "both lines")
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--openvpn.log=/a/server.log", "--openvpn.log=/b/server.log"], "two files of --openvpn.log would be server"),
        (["--openvpn.log=/a/server.log", "--config.file={config}"], "--openvpn.log cannot be combined with"),
    ],
)
def test_flags_that_contradict(tmp_path: Path, flags: list[str], complaint: str) -> None:
    config = tmp_path / "config.yml"
    config.write_text("servers: [{name: s, log: /c/server.log}]\n")
    with running(*[flag.format(config=config) for flag in flags]) as program:
        assert program.process.wait(30) == 2
        wait_until(lambda: bool(program.log), "it says why")
        assert complaint in program.log[0]
