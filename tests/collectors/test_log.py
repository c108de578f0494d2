"""Collector `log` over files and rules, as the exporter serves it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import exporter.collectors.log
from exporter.collectors.base import PartialResultError
from exporter.collectors.context import build_context
from exporter.collectors.log import SPEC, Counters, LogCollector, ServerLog
from exporter.config import load as config_load
from exporter.config.model import Config, LogRule, OpenVpnServer, Settings
from exporter.errors import BadInputError, RefusedError
from exporter.exposition.families import Metric
from exporter.openvpn.logline import HOOKS
from tests.support.openvpn import wait_until
from tests.support.pages import scrape
from tests.support.program import Program, running

WARNING = b"WARNING: Failed running command (--client-connect): external program exited with error status: 1\n"
DATED = b"2026-11-23 20:40:09 "


class Log:
    """A server's counts, fed by hand."""

    def __init__(self, rules: tuple[LogRule, ...] = ()) -> None:
        self.counters = Counters(rules)
        self.counters.begin("s")
        self.log = ServerLog("s", self.counters, lambda: 1234.5)

    def failures(self) -> float:
        return self.value("openvpn_script_failures_total", hook="client-connect", reason="exit_status")

    def value(self, name: str, **labels: str) -> float:
        for counter in [*self.counters.all(), self.counters.last_line]:
            for family in counter.collect():
                for sample in family.samples:
                    if sample.name == name and sample.labels == {"server": "s", **labels}:
                        return sample.value
        raise AssertionError(f"there is no {name} {labels}")


# Which lines are OpenVPN's


def test_a_line_without_a_stamp_among_lines_with_one_is_a_scripts() -> None:
    log = Log()
    log.log.take(DATED + b"Initialization Sequence Completed\n" + WARNING)
    log.log.take(WARNING)
    assert log.failures() == 0
    log.log.take(DATED + WARNING)
    assert log.failures() == 1


def test_where_no_line_has_a_stamp_each_counts() -> None:
    log = Log()
    log.log.take(b"Initialization Sequence Completed\n" + WARNING)
    assert log.failures() == 1


def test_a_server_that_was_restarted_without_stamps() -> None:
    """Its first words tell."""
    log = Log()
    log.log.take(DATED + WARNING)
    log.log.take(b"OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]\n")
    log.log.take(WARNING)
    assert log.failures() == 2


def test_output_of_scripts_only_counts_as_lines_and_queue_lines() -> None:
    log = Log()
    log.log.take_output(WARNING + b"Message queue full\n")
    assert log.failures() == 0
    assert log.value("openvpn_log_lines_total") == 2
    assert log.value("openvpn_log_message_queue_lines_total", kind="full") == 1
    assert log.value("openvpn_log_last_line_timestamp_seconds") == 1234.5


def test_every_series_that_can_be_foreseen_begins_at_zero() -> None:
    log = Log()
    for hook in HOOKS:
        assert log.value("openvpn_script_failures_total", hook=hook, reason="signal") == 0
    for name, label, value in (
        ("openvpn_log_events_total", "event", "max_clients"),
        ("openvpn_packets_dropped_total", "reason", "mbuf"),
        ("openvpn_log_message_queue_lines_total", "kind", "dropped"),
    ):
        assert log.value(name, **{label: value}) == 0
    with pytest.raises(AssertionError, match="there is no"):
        log.value("openvpn_log_last_line_timestamp_seconds")


def test_any_bytes_are_counted() -> None:
    log = Log()
    log.log.take(b"\xff\xfe Message queue \xff full\n\0\0\n\n" + b"/" * 100_000 + b" --mute\n")
    assert log.value("openvpn_log_lines_total") == 4
    assert log.value("openvpn_log_message_queue_lines_total", kind="full") == 1


# The user's rules


def rules(tmp_path: Path, text: str) -> tuple[LogRule, ...]:
    config = tmp_path / "config.yml"
    config.write_text(f"log_rules:\n{text}")
    return config_load.load(config).log_rules


def test_rules_count_lines_that_match_somewhere(tmp_path: Path) -> None:
    log = Log(rules(tmp_path, "  - {name: radius, match: 'radius: timeout'}\n  - {name: ends, match: '^a.*b$|^$'}\n"))
    log.log.take(b"x radius: timeout, radius: timeout\na\nb\na b\n\nradius:\ntimeout\naab \n")
    assert log.value("openvpn_log_rule_matches_total", rule="radius") == 1
    assert log.value("openvpn_log_rule_matches_total", rule="ends") == 2


@pytest.mark.parametrize(
    "pattern", ["(a|aa)+$", "(a*)*b", "((a{1,10}){1,10}){1,10}b", "(.*)*(.*)*(.*)*=", "a*", "$", r"\z"]
)
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
        ("  - {name: a}\n", "an item of log_rules needs the key 'match'"),
        ("  - {name: a, match: b}\n  - {name: a, match: c}\n", ":3: the rule name 'a' is given twice"),
        ("  a: b\n", "log_rules must be a list"),
    ],
)
def test_a_rule_that_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadInputError, match=complaint):
        rules(tmp_path, text)


# Built from settings


def built(**settings: Any) -> LogCollector | None:
    return SPEC.build(build_context(Settings(**settings)))


def test_nothing_to_read_and_a_single_look() -> None:
    """No server with a log: no collector; --once: none either, for it could only show zeros."""
    server = OpenVpnServer("s", log=Path("/nowhere/server.log"))
    assert built() is None
    assert built(config=Config(servers=(OpenVpnServer("s"),))) is None
    assert built(config=Config(servers=(server,)), once=True) is None


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
    assert collector
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
    declared = {metric.name for metric in vars(exporter.collectors.log).values() if isinstance(metric, Metric)}
    with running(f"--config.file={config}", f"--state.directory={tmp_path / 'state'}") as program:

        def names() -> set[str]:
            return {name for name, labels in program.samples() if ("server", "s") in labels}

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
