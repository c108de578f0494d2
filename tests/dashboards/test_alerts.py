"""The shipped rules: promtool finds nothing wrong with them, and their own tests hold, on Prometheus 2 and 3."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.releases import OLD, Release
from tests.support.rulebook import ALERTS, RECORDING, TESTS, alerts, cases, promtool


def test_releases_are_those_that_are_promised(release: Release) -> None:
    said = subprocess.run([release.promtool, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"promtool, version {2 if release is OLD else 3}.")


@pytest.mark.parametrize("path", [RECORDING, ALERTS], ids=lambda path: path.name)
def test_promtool_finds_nothing(path: Path, release: Release) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path), program=release.promtool)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_tests_of_the_rules_hold(path: Path, release: Release) -> None:
    tested = promtool("test", "rules", path.name, cwd=path.parent, program=release.promtool)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("name", alerts())
def test_each_alert_is_seen_firing_and_silent(name: str) -> None:
    """A test that never sees it fire, or never sees it silent, would hold anything."""
    looks = [look for case in cases(name) for look in case["alert_rule_test"] if look["alertname"] == name]
    assert any(look.get("exp_alerts") for look in looks)
    assert any(not look.get("exp_alerts") for look in looks)


@pytest.mark.parametrize("name", alerts())
def test_each_alert_says_what_a_person_needs(name: str) -> None:
    rule = alerts()[name]
    assert name.startswith("OpenvpnMq")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["summary"][0].isupper()
    assert notes["summary"].endswith(".")
    assert "{{" not in notes["summary"]
    assert notes["runbook_url"].endswith(f"/{name}.md")


def test_the_documentation_lists_each_alert_with_its_severity() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", page, re.MULTILINE)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"lists the {len(rows)} alerts" in readme
    assert rows == [(name, name, rule["labels"]["severity"]) for name, rule in alerts().items()]
