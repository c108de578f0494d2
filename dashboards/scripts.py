"""PromQL about OpenVPN's scripts, from whichever source a server has, so that no run is counted twice.

The kernel (collector `scripts`) sees every script that OpenVPN executes; the hook record (collector `hooks`) those that
openvpn-mq-hook wraps; the log (collector `log`) the failures that OpenVPN reports. Per server the first of the three
that is there is used. Some failures have no process and so are in the log alone: a plugin's, or a script that
script-security forbids.
"""

from collections.abc import Sequence
from typing import Final

from dashboards.queries import once

WINDOW: Final = "$__rate_interval"

_KERNEL_RUNS: Final = "openvpn_script_runs_total{}"
_HOOK_RUNS: Final = "openvpn_hook_runs_total{}"
_SERVER: Final = "cluster, job, instance, server"
_LOG_ALONE: Final = "plugin|script_security|fork_failed"

_VERDICTS: Final = "auth-user-pass-verify|tls-verify|tls-crypt-v2-verify"
"""Hooks whose exit status says whether a client is let in: a wrong password is no failure of the script."""

_FAILED: Final = ('reason!="exit_status"', f'reason="exit_status",hook!~"{_VERDICTS}"')
_REFUSED: Final = (f'reason="exit_status",hook=~"{_VERDICTS}"',)


def failures(window: str = WINDOW, *, function: str = "rate") -> str:
    """Return the failures of scripts and plugins, with the label `source`. A refused client is none."""
    seen = _seen("openvpn_script_run_failures_total", "openvpn_hook_failures_total", _FAILED, function, window)
    log = _all(
        "openvpn_script_failures_total", [f'{each},reason!~"{_LOG_ALONE}"' for each in _FAILED], function, window
    )
    alone = _all("openvpn_script_failures_total", [f'reason=~"{_LOG_ALONE}"'], function, window)
    others = f"({_named('log', log)} unless on ({_SERVER}) ({_KERNEL_RUNS} or {_HOOK_RUNS}))"
    return f"({seen} or {others} or {_named('log', alone)})"


def refusals(window: str = WINDOW, *, function: str = "rate") -> str:
    """Return the clients that a script refused by its exit status, with the label `source`."""
    return _seen("openvpn_script_run_failures_total", "openvpn_hook_failures_total", _REFUSED, function, window)


def failure_ratio(window: str = WINDOW) -> str:
    """Return the share of runs that failed, by server and hook; nothing for a hook that did not run."""
    seen = _seen("openvpn_script_run_failures_total", "openvpn_hook_failures_total", _FAILED, "rate", window)
    by = f"{_SERVER}, hook"
    started = f"sum by ({by}) ({runs(window)}) > 0"
    return f"clamp_max((sum by ({by}) ({seen}) or 0 * sum by ({by}) ({runs(window)})) / ({started}), 1)"


def runs(window: str = WINDOW) -> str:
    """Return the rate of scripts started, by server and hook."""
    return _either(f"rate(openvpn_script_runs_total{{}}[{window}])", f"rate(openvpn_hook_runs_total{{}}[{window}])")


def running() -> str:
    """Return the number of scripts that have started and not ended, by server and hook."""
    return _either("openvpn_script_running{}", "openvpn_hook_running{}")


def hanging(by: str) -> str:
    """Return how many scripts have been running all the time of late without another one having started; 0 too."""
    stuck = " or ".join(
        f"(min_over_time({running}[{WINDOW}]) > bool 0) * (increase({started}[{WINDOW}]) == bool 0)"
        for running, started in (
            ("openvpn_script_running{}", "openvpn_script_runs_total{}"),
            ("openvpn_hook_running{}", "openvpn_hook_runs_total{}"),
        )
    )
    return f"sum by ({by}) (max by ({_SERVER}) ({stuck}))"


def buckets() -> str:
    """Return the rates of the buckets of how long scripts take."""
    return _either(
        f"rate(openvpn_script_duration_seconds_bucket{{}}[{WINDOW}])",
        f"rate(openvpn_hook_duration_seconds_bucket{{}}[{WINDOW}])",
    )


def time_by_hook() -> str:
    """Return the share of the time that scripts of each hook took, from ended scripts."""
    return _either(
        f"rate(openvpn_script_duration_seconds_sum{{}}[{WINDOW}])",
        f"rate(openvpn_hook_duration_seconds_sum{{}}[{WINDOW}])",
    )


def blocked(by: str) -> str:
    """Return the share of the time for which OpenVPN waited for scripts and served nobody, a running one included."""
    ended = (
        f"(max by ({_SERVER}) (rate(openvpn_script_blocked_seconds_total{{}}[{WINDOW}]))"
        f" or sum by ({_SERVER}) ({once(f'rate(openvpn_hook_duration_seconds_sum{{}}[{WINDOW}])')})"
        f" or 0 * max by ({_SERVER}) (openvpn_hook_running{{}}))"
    )
    return f"max by ({by}) (clamp_max({hanging(_SERVER)} > 0, 1) or clamp_max({ended}, 1))"


def _either(kernel: str, hook: str) -> str:
    """Return what the kernel saw, and what the hook saw of servers whose scripts the kernel does not show."""
    return f"({once(kernel)} or ({once(hook)} unless on ({_SERVER}) {_KERNEL_RUNS}))"


def _seen(kernel: str, hook: str, matchers: Sequence[str], function: str, window: str) -> str:
    """Return the same of two counters, each narrowed by matchers, with the label `source`."""
    of_kernel, of_hook = (
        _named(n, _all(m, matchers, function, window)) for n, m in (("kernel", kernel), ("hook", hook))
    )
    return f"({of_kernel} or ({of_hook} unless on ({_SERVER}) {_KERNEL_RUNS}))"


def _all(counter: str, matchers: Sequence[str], function: str, window: str) -> str:
    return " or ".join(f"{function}({counter}{{{each}}}[{window}])" for each in matchers)


def _named(source: str, expression: str) -> str:
    return f'label_replace({once(expression)}, "source", "{source}", "", "")'
