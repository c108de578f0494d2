"""Scripts are counted once, whichever of kernel, hook record and log a server has."""

import itertools
from pathlib import Path

import pytest
import yaml

from dashboards import scripts
from dashboards.queries import scoped
from tests.support.boards import substituted
from tests.support.rulebook import promtool
from tests.support.site import everything

SOURCES = ("kernel", "hook", "log")
MIXES = [mix for size in (1, 2, 3) for mix in itertools.combinations(SOURCES, size)]
each_mix = pytest.mark.parametrize("mix", MIXES, ids=["+".join(mix) for mix in MIXES])

LABELS = 'job="openvpn-mq",instance="vpn1:10049",server="udp"'
CONNECT = f'{LABELS},hook="client-connect"'

SERIES: dict[str, dict[str, str]] = {
    "kernel": {
        f'openvpn_script_run_failures_total{{{CONNECT},reason="exit_status"}}': "0+1x40",
        f"openvpn_script_runs_total{{{CONNECT}}}": "0+2x40",
        f"openvpn_script_running{{{CONNECT}}}": "0x40",
        f"openvpn_script_blocked_seconds_total{{{LABELS}}}": "0+6x40",
        f"openvpn_script_duration_seconds_sum{{{CONNECT}}}": "0+6x40",
    },
    "hook": {
        f'openvpn_hook_failures_total{{{CONNECT},reason="exit_status"}}': "0+1x40",
        f"openvpn_hook_runs_total{{{CONNECT}}}": "0+2x40",
        f"openvpn_hook_running{{{CONNECT}}}": "0x40",
        f"openvpn_hook_duration_seconds_sum{{{CONNECT}}}": "0+6x40",
    },
    "log": {f'openvpn_script_failures_total{{{CONNECT},reason="exit_status"}}': "0+1x40"},
}
"""A script that runs every 7.5 s, takes 3 s, and fails every other time, as each source has it."""

HANGS = {
    "kernel": {
        f"openvpn_script_running{{{CONNECT}}}": "1x40",
        f"openvpn_script_runs_total{{{CONNECT}}}": "7x40",
        f"openvpn_script_blocked_seconds_total{{{LABELS}}}": "0+15x40",
    },
    "hook": {f"openvpn_hook_running{{{CONNECT}}}": "1x40", f"openvpn_hook_runs_total{{{CONNECT}}}": "7x40"},
}
"""A script that does not end."""

Samples = list[tuple[str, float]]


def check(folder: Path, series: dict[str, str], expected: dict[str, Samples]) -> None:
    """Have promtool evaluate expressions, as Grafana sends them, after nine minutes; they are rounded."""
    tests = [
        {
            "expr": "round(" + substituted(scoped(expression, {}), everything(), window="2m", whole="10m") + ", 0.1)",
            "eval_time": "9m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
        }
        for expression, samples in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    document = {"tests": [{"interval": "15s", "input_series": inputs, "promql_expr_test": tests}]}
    (folder / "test.yml").write_text(yaml.safe_dump({"evaluation_interval": "1m", **document}))
    done = promtool("test", "rules", "test.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@each_mix
def test_a_failure_is_counted_once(mix: tuple[str, ...], tmp_path: Path) -> None:
    """Twenty within five minutes, and the source is named."""
    series = {name: values for source in mix for name, values in SERIES[source].items()}
    failed = scripts.failures("5m", function="increase")
    check(tmp_path, series, {
        f"sum({failed})": [("{}", 20)],
        f"count by (source) ({failed})": [(f'{{source="{mix[0]}"}}', 1)],
    })  # fmt: skip


@each_mix
def test_runs_and_times_are_counted_once(mix: tuple[str, ...], tmp_path: Path) -> None:
    """The log does not know them."""
    series = {name: values for source in mix for name, values in SERIES[source].items()}
    known = mix != ("log",)
    check(tmp_path, series, {
        f"60 * sum({scripts.runs()})": [("{}", 8)] if known else [],
        f"sum({scripts.time_by_hook()})": [("{}", 0.4)] if known else [],
        f"max({scripts.failure_ratio()})": [("{}", 0.5)] if known else [],
        scripts.blocked("server"): [('{server="udp"}', 0.4)] if known else [],
        scripts.hanging("server"): [('{server="udp"}', 0)] if known else [],
    })  # fmt: skip


@pytest.mark.parametrize("mix", [("kernel",), ("hook",), ("kernel", "hook")])
def test_a_script_that_hangs_blocks_all_of_the_time(mix: tuple[str, ...], tmp_path: Path) -> None:
    series = {name: values for source in mix for name, values in HANGS[source].items()}
    check(tmp_path, series, {
        scripts.blocked("server"): [('{server="udp"}', 1)],
        scripts.hanging("server"): [('{server="udp"}', 1)],
    })  # fmt: skip


def test_a_wrong_password_is_no_failure(tmp_path: Path) -> None:
    """It is a client that was refused; a script that crashes is a failure."""
    auth = f'{LABELS},hook="auth-user-pass-verify"'
    series = {
        f'openvpn_hook_failures_total{{{auth},reason="exit_status"}}': "0+1x40",
        f'openvpn_hook_failures_total{{{auth},reason="signal"}}': "0+2x40",
    }
    check(tmp_path, series, {
        f"sum({scripts.failures('5m', function='increase')})": [("{}", 40)],
        f"sum({scripts.refusals('5m', function='increase')})": [("{}", 20)],
    })  # fmt: skip


def test_what_the_log_alone_can_know_is_added(tmp_path: Path) -> None:
    """A plugin that fails runs no script, so that the kernel and the hook see nothing of it."""
    plugin = f'openvpn_script_failures_total{{{LABELS},hook="plugin",reason="plugin"}}'
    series = {**SERIES["kernel"], **SERIES["log"], plugin: "0+1x40"}
    check(tmp_path, series, {f"sum({scripts.failures('5m', function='increase')})": [("{}", 40)]})
