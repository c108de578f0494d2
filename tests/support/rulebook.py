"""The shipped rules and their tests, as data, and promtool to run them.

Each alert and each recording rule has a test file of its own, dashboards/rules/tests/NAME.yml, with `.` for each `:`;
the rules of a group that are only used together share one, GROUP.yml.
"""

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent.parent / "dashboards" / "rules"
RECORDING = FOLDER / "recording.yml"
ALERTS = FOLDER / "alerts.yml"
ALERTMANAGER = FOLDER.parent / "alertmanager"

Rule = dict[str, Any]
Case = dict[str, Any]


def read(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe


@cache
def groups() -> dict[str, list[Rule]]:
    """Return the rules of each group, in the order of the files, recording rules first."""
    return {group["name"]: group["rules"] for path in (RECORDING, ALERTS) for group in read(path)["groups"]}


def recorded() -> dict[str, Rule]:
    """Return the recording rules by name."""
    return {rule["record"]: rule for rules in groups().values() for rule in rules if "record" in rule}


def alerts() -> dict[str, Rule]:
    """Return the alert rules by name."""
    return {rule["alert"]: rule for rules in groups().values() for rule in rules if "alert" in rule}


def needed(rule: Rule) -> list[Rule]:
    """Return the recording rules that a rule uses, directly or by another one, in the order of the file."""
    known = recorded()
    found: set[str] = set()
    expressions = [rule["expr"]]
    while expressions:
        expression = expressions.pop()
        for name in known.keys() - found:
            if name in expression:
                found.add(name)
                expressions.append(known[name]["expr"])
    return [known[name] for name in known if name in found and known[name] is not rule]


def file_of(name: str) -> Path:
    """Return the test file of a rule: its own, otherwise that of its group."""
    own = FOLDER / "tests" / f"{name.replace(':', '.')}.yml"
    (group,) = (group for group, rules in groups().items() if any(name == _name(rule) for rule in rules))
    return own if own.exists() else own.with_name(f"{group}.yml")


def rules_of(file: Path) -> list[Rule]:
    """Return the rules that a test file is about, after those that they use."""
    wanted = [rule for name, rule in {**recorded(), **alerts()}.items() if file_of(name) == file]
    names = {_name(used) for rule in wanted for used in [*needed(rule), rule]}
    return [rule for rules in groups().values() for rule in rules if _name(rule) in names]


def _name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def failures(
    folder: Path, rules: Sequence[Rule], tests: Sequence[Case], interval: str, program: str = "promtool"
) -> str:
    """Run tests against these rules alone, in one group, so that each sees what those before it record.

    Returns what promtool says, or nothing if all tests hold.
    """
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": list(rules)}]}))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": list(tests)}
    (folder / "tests.yml").write_text(yaml.safe_dump(document))
    ran = promtool("test", "rules", "tests.yml", cwd=folder, program=program)
    return ran.stdout + ran.stderr if ran.returncode else ""


def write_fast(folder: Path) -> list[str]:
    """Copies of the recording rules and alerts that are evaluated as often as Prometheus is told; their paths."""
    written = []
    for path in (RECORDING, ALERTS):
        groups = [{key: value for key, value in group.items() if key != "interval"} for group in read(path)["groups"]]
        (folder / path.name).write_text(yaml.safe_dump({"groups": groups}))
        written.append(str(folder / path.name))
    return written


def at_pace(text: str, times: int) -> str:
    """Shorten every duration of the rules or of Alertmanager's configuration, so that all happens that much faster.

    So are the lengths of a window and of an interval that a rate is multiplied with. What the texts say stays as it is.
    """

    def shortened(found: re.Match[str]) -> str:
        milliseconds = int(found[1]) * {"s": 1000, "m": 60_000, "h": 3_600_000}[found[2]] // times
        return f"{milliseconds}ms"

    durations = r"(?:(?<=\[)|(?<=offset )|(?<=for: )|(?<=interval: )|(?<=wait: ))(\d+)([smh])\b"
    return re.sub(
        r"\b(?:30|300) (?=\*)", lambda found: f"{int(found[0]) / times:g} ", re.sub(durations, shortened, text)
    )


def promtool(*arguments: str, cwd: Path = FOLDER, program: str = "promtool") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end; its exit status is the caller's to look at."""
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
