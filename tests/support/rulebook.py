"""The shipped rules and their tests, as data, and promtool to run them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent.parent / "dashboards" / "rules"
RECORDING = FOLDER / "recording.yml"
ALERTS = FOLDER / "alerts.yml"
ALERTMANAGER = FOLDER.parent / "alertmanager"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))

Rule = dict[str, Any]


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text())


def rules(path: Path) -> list[Rule]:
    """All rules of a file, in order."""
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def recorded() -> dict[str, Rule]:
    """The recording rules by name."""
    return {rule["record"]: rule for rule in rules(RECORDING)}


def alerts() -> dict[str, Rule]:
    """The alert rules by name."""
    return {rule["alert"]: rule for rule in rules(ALERTS)}


def needed(rule: Rule) -> list[Rule]:
    """The recording rules that a rule stands on, themselves and those below them, in the order of the file."""
    known = recorded()
    found: set[str] = set()
    expressions = [rule["expr"]]
    while expressions:
        expression = expressions.pop()
        for name in known.keys() - found:
            if name in expression:
                found.add(name)
                expressions.append(known[name]["expr"])
    return [known[name] for name in known if name in found]


def cases(alert: str) -> list[dict[str, Any]]:
    """The tests that ask for the alert."""
    return [
        case
        for path in TESTS
        for case in read(path)["tests"]
        if any(look["alertname"] == alert for look in case.get("alert_rule_test", ()))
    ]


def write_tests(folder: Path, name: str, tests: Sequence[dict[str, Any]]) -> str:
    """A test file for rules.yml beside it, which has one group; returns the file's name."""
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "35s", "tests": list(tests)}
    (folder / name).write_text(yaml.safe_dump(document))
    return name


def write_rules(folder: Path, written: Sequence[Rule]) -> None:
    """A rules.yml with these in one group, so that each sees what those before it record."""
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": list(written)}]}))


def write_fast(folder: Path) -> list[str]:
    """Copies of the recording rules and alerts that are evaluated as often as Prometheus is told; their paths."""
    written = []
    for path in (RECORDING, ALERTS):
        groups = [{key: value for key, value in group.items() if key != "interval"} for group in read(path)["groups"]]
        (folder / path.name).write_text(yaml.safe_dump({"groups": groups}))
        written.append(str(folder / path.name))
    return written


def promtool(*arguments: str, cwd: Path = FOLDER, program: str = "promtool") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end; its exit status is the caller's to look at."""
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
