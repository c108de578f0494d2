"""The recording and alert rules: promtool's own checks, and the tests that lie beside them."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import need

RULES = Path(__file__).parent.parent / "dashboards" / "rules"
TESTS = sorted(RULES.glob("*_test.yml"))


def test_rules_are_clean() -> None:
    need("promtool")
    files = sorted(path for path in RULES.glob("*.yml") if path not in TESTS)
    assert files
    command = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *files]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_they_say(path: Path) -> None:
    need("promtool")
    tested = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
