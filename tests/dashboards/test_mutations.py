"""Whatever number of a rule is changed, some test of it fails: the tests hold every threshold, window and `for`."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.mutants import Rule, mutants
from tests.support.releases import OLD
from tests.support.rulebook import (
    FOLDER,
    alerts,
    cases,
    needed,
    promtool,
    read,
    recorded,
    write_rules,
    write_tests,
)

Tests = Sequence[dict[str, Any]]


def survivors(before: Sequence[Rule], rule: Rule, after: Sequence[Rule], tests: Tests, folder: Path) -> list[str]:
    """Which of the rule's mutants pass all tests, among the rules that come before and after it."""
    OLD.need()

    def passes(number: int, changed: Rule) -> bool:
        place = folder / str(number)
        place.mkdir()
        write_rules(place, [*before, changed, *after])
        first = write_tests(place, "first.yml", tests[:1])  # mostly fails already, in a tenth of the time
        rest = write_tests(place, "rest.yml", tests[1:])
        return all(promtool("test", "rules", file, cwd=place).returncode == 0 for file in (first, rest))

    changes = list(mutants(rule))
    assert passes(0, rule), "the tests do not hold for the rule itself"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = pool.map(passes, range(1, len(changes) + 1), [changed for _, changed in changes])
    return [what for (what, _), survived in zip(changes, passed, strict=True) if survived]


@pytest.mark.parametrize("name", alerts())
def test_no_change_of_an_alert_passes_its_tests(name: str, tmp_path: Path) -> None:
    rule = alerts()[name]
    assert len(list(mutants(rule))) >= 3
    assert survivors(needed(rule), rule, [], cases(name), tmp_path) == []


@pytest.mark.parametrize("name", [name for name, rule in recorded().items() if list(mutants(rule))])
def test_no_change_of_a_recording_rule_passes_the_tests(name: str, tmp_path: Path) -> None:
    """Its own tests, and those of the alerts that stand on it."""
    rules = list(recorded().values())
    place = list(recorded()).index(name)
    above = [alert for alert in alerts().values() if rules[place] in needed(alert)]
    tests = [case for case in read(FOLDER / "tests" / "recording.yml")["tests"] if name in str(case)]
    for alert in above:
        tests += cases(alert["alert"])
    assert survivors(rules[:place], rules[place], [*rules[place + 1 :], *above], tests, tmp_path) == []
