"""Whatever number of an alert is changed, some test of that alert fails: the tests hold every threshold and `for`."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import need
from tests.dashboards.mutants import Rule, mutants
from tests.dashboards.rulebook import alerts, cases, needed, promtool, write_rules, write_tests


@pytest.mark.parametrize("name", alerts())
def test_no_change_of_an_alert_passes_its_tests(name: str, tmp_path: Path) -> None:
    need("promtool")
    rule = alerts()[name]
    tests = cases(name)
    below = needed(rule)

    def passes(number: int, changed: Rule) -> bool:
        folder = tmp_path / str(number)
        folder.mkdir()
        write_rules(folder, [*below, changed])
        first = write_tests(folder, "first.yml", tests[:1])  # mostly fails already, in a tenth of the time
        rest = write_tests(folder, "rest.yml", tests[1:])
        return all(promtool("test", "rules", file, cwd=folder).returncode == 0 for file in (first, rest))

    changes = list(mutants(rule))
    assert len(changes) >= 3
    assert passes(0, rule)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = pool.map(passes, range(1, len(changes) + 1), [changed for _, changed in changes])
    assert [what for (what, _), survived in zip(changes, passed, strict=True) if survived] == []
