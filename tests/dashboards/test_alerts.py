"""The shipped rules: promtool finds nothing wrong with them, and their own tests hold, on Prometheus 2 and 3."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.releases import OLD, Release
from tests.support.rulebook import (
    ALERTS,
    FOLDER,
    RECORDING,
    alerts,
    failures,
    file_of,
    groups,
    promtool,
    read,
    recorded,
    rules_of,
)

FILES = {file_of(name).stem: file_of(name) for name in {**recorded(), **alerts()}}

each_file = pytest.mark.parametrize("name", FILES)
each_alert = pytest.mark.parametrize("name", alerts())


def test_releases_are_those_that_are_promised(release: Release) -> None:
    said = subprocess.run([release.promtool, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"promtool, version {2 if release is OLD else 3}.")


@pytest.mark.parametrize("path", [RECORDING, ALERTS], ids=lambda path: path.name)
def test_promtool_finds_nothing(path: Path, release: Release) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path), program=release.promtool)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_rule_has_a_test_file_and_each_file_has_a_rule() -> None:
    assert set(FILES.values()) == set((FOLDER / "tests").glob("*.yml"))


@each_file
def test_the_tests_of_a_rule_hold(name: str, release: Release, tmp_path: Path) -> None:
    """Against the rules that it needs, and no others."""
    document = read(FILES[name])
    rules = rules_of(FILES[name])
    assert failures(tmp_path, rules, document["tests"], document["evaluation_interval"], release.promtool) == ""


@pytest.mark.slow
@pytest.mark.timeout(400)
@each_file
def test_the_tests_of_a_rule_hold_among_all_rules(name: str, release: Release) -> None:
    """As the file's first line tells a reader to run it."""
    tested = promtool("test", "rules", f"{name}.yml", cwd=FOLDER / "tests", program=release.promtool)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@each_file
def test_each_file_has_the_groups_evaluated_in_their_order(name: str) -> None:
    """Recording rules first: promtool would take the groups in any order."""
    document = read(FILES[name])
    assert document["rule_files"] == ["../recording.yml", "../alerts.yml"]
    assert document["group_eval_order"] == list(groups())


@each_alert
def test_each_alert_is_seen_firing_with_its_text_and_silent(name: str) -> None:
    """A test that never sees it fire, or never sees it silent, would hold anything."""
    tests = read(file_of(name))["tests"]
    assert any(look["exp_alerts"] for case in tests for look in case.get("alert_rule_test", ()))
    seen = [[sample["value"] for look in case["promql_expr_test"] for sample in look["exp_samples"]] for case in tests]
    assert any(any(values) for values in seen)
    assert any(not any(values) for values in seen)


@each_alert
def test_each_alert_says_what_a_person_needs(name: str) -> None:
    rule = alerts()[name]
    assert name.startswith("OpenvpnMq")
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["summary"][0].isupper()
    assert notes["summary"].endswith(".")
    assert "{{" not in notes["summary"]
    assert notes["runbook_url"].endswith(f"/{name}.md")
    assert notes["dashboard_url"].startswith("/d/")


def test_the_documentation_lists_each_alert_with_its_severity() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", page, re.MULTILINE)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"lists the {len(rows)} alerts" in readme
    assert rows == [(name, name, rule["labels"]["severity"]) for name, rule in alerts().items()]
