"""The shipped rules: promtool finds nothing wrong with them, and their own tests hold."""

from pathlib import Path

import pytest

from tests.conftest import need
from tests.dashboards.rulebook import ALERTS, RECORDING, TESTS, alerts, cases, promtool


@pytest.mark.parametrize("path", [RECORDING, ALERTS], ids=lambda path: path.name)
def test_promtool_finds_nothing(path: Path) -> None:
    need("promtool")
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_tests_of_the_rules_hold(path: Path) -> None:
    need("promtool")
    tested = promtool("test", "rules", path.name, cwd=path.parent)
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
