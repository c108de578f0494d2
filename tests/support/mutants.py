"""Rules with one number or one duration changed: what tests that prove something must not let pass."""

import re
from collections.abc import Iterator
from typing import Any

Rule = dict[str, Any]

_TOKEN = re.compile(
    r"""(?P<skip>"[^"]*"|'[^']*'|[A-Za-z_:][\w:]*)"""  # strings; names, which may hold digits
    r"""|(?P<duration>\d+[smhd])"""
    r"""|(?P<number>\d+(?:\.\d+)?)"""
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Each with a word on what was changed: thresholds by 15 %, windows doubled and halved, `for` by a minute."""
    expression = rule["expr"]
    for token in _TOKEN.finditer(expression):
        for other in _others(token):
            changed = expression[: token.start()] + other + expression[token.end() :]
            yield f"{token[0]} at {token.start()} became {other}", {**rule, "expr": changed}
    if "alert" in rule:
        for field in ("for", "keep_firing_for"):
            seconds = _seconds(rule.get(field, "0s"))
            for other in {max(0, seconds - 60), seconds + 60} - {seconds}:
                yield f"{field} became {other} s", {**rule, field: f"{other}s"}


def _others(token: re.Match[str]) -> list[str]:
    if duration := token["duration"]:
        return [f"{_seconds(duration) * 2}s", f"{_seconds(duration) // 2}s"]
    if number := token["number"]:
        return [f"{float(number) * 0.85:g}", f"{float(number) * 1.15:g}"] if float(number) else ["2", "-1"]
    return []


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]
