"""Rules with one number or one duration changed: what tests that prove something must not let pass."""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Rule = dict[str, Any]
Case = dict[str, Any]

_TOKEN = re.compile(
    r"""(?P<skip>"[^"]*"|'[^']*'|[A-Za-z_:][\w:]*)"""  # strings; names, which may hold digits
    r"""|(?P<duration>\d+[smhd])"""
    r"""|(?P<number>\d+(?:\.\d+)?)"""
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FILTER = re.compile(r"\](?: offset \w+)?\)+ > $")
"""Before a 0, after the rate or increase of a counter: such a filter makes a rule cheaper, and -1 changes nothing."""


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Yield each with a word on what was changed: numbers by 15 %, windows doubled and halved, `for` by a tenth."""
    expression = rule["expr"]
    for token in _TOKEN.finditer(expression):
        for other in _others(token, filters=bool(_FILTER.search(expression[: token.start()]))):
            changed = expression[: token.start()] + other + expression[token.end() :]
            yield f"{token[0]} at {token.start()} became {other}", {**rule, "expr": changed}
    if "alert" in rule:
        for field in ("for", "keep_firing_for"):
            seconds = _seconds(rule.get(field, "0s"))
            step = max(60, seconds // 10)
            for changed_to in {max(0, seconds - step), seconds + step} - {seconds}:
                yield f"{field} became {changed_to} s", {**rule, field: f"{changed_to}s"}


def numbered(rule: Rule, number: int) -> Rule:
    """Give a rule a name of its own, so that many variants of it can stand side by side."""
    kind = "alert" if "alert" in rule else "record"
    other = _name(rule[kind], number)
    return {**rule, kind: other, "expr": rule["expr"].replace(rule[kind], other)}


def asking_for_all(case: Case, name: str, numbers: Iterable[int]) -> Case:
    """Have a test ask each of the variants of these numbers for what it asks the rule of that name."""
    looks = {kind: case[kind] for kind in ("alert_rule_test", "promql_expr_test") if kind in case}
    return {
        **case,
        **{
            kind: [
                _renamed(look, name, _name(name, number))
                for number in numbers
                for look in some
                if name in (look.get("expr") or look["alertname"])
            ]
            for kind, some in looks.items()
        },
    }


def failed(output: str) -> set[int]:
    """Return the numbers of the variants that promtool names, which it does if a test of them fails."""
    return {int(number) for number in re.findall(r"__variant(\d+)__", output)}


def _name(name: str, number: int) -> str:
    return f"{name}__variant{number}__"


def _renamed(look: Case, name: str, other: str) -> Case:
    look = copy.deepcopy(look)
    if "alertname" in look:
        look["alertname"] = other
    else:
        look["expr"] = look["expr"].replace(name, other)
        for sample in look.get("exp_samples", ()):
            sample["labels"] = sample["labels"].replace(name, other)
    return look


def _others(token: re.Match[str], *, filters: bool) -> Sequence[str]:
    if duration := token["duration"]:
        return [f"{_seconds(duration) * 2}s", f"{_seconds(duration) // 2}s"]
    if number := token["number"]:
        if float(number):
            return [f"{float(number) * 0.85:g}", f"{float(number) * 1.15:g}"]
        return ["2"] if filters else ["2", "-1"]
    return []


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]
