"""Each alert has a runbook of the same build, and what it asks to be typed can be typed."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.boards import BOARDS
from tests.support.markdown import blocks
from tests.support.metricsdoc import declared
from tests.support.needs import need
from tests.support.releases import OLD
from tests.support.rulebook import alerts, promtool, recorded

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = {page.stem: page.read_text() for page in FOLDER.iterdir()}
SECTIONS = ["Meaning", "Impact", "How to look", "How to fix", "False alarms"]
METRIC = re.compile(r"\b(?:[a-z_]+:)?(?:sysv_msg|openvpn_)\w+(?::\w+)?")

each_page = pytest.mark.parametrize("name", PAGES)


def queries(name: str) -> list[str]:
    """What the page has of PromQL, in blocks and within sentences."""
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    within = [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose) if METRIC.search(span)]
    return [*blocks(PAGES[name], "promql"), *within]


def test_each_alert_has_one_and_each_belongs_to_an_alert() -> None:
    assert set(PAGES) == set(alerts())


@each_page
def test_it_is_built_like_the_others(name: str) -> None:
    """Title, five sections in order, and words in each."""
    title, *parts = re.split(r"^## ", PAGES[name], flags=re.MULTILINE)
    assert title.strip() == f"# {name}"
    assert [part.split("\n", 1)[0] for part in parts] == SECTIONS
    assert all(len(part.split("\n", 1)[1].strip()) > 40 for part in parts)


@each_page
def test_it_tells_how_to_look(name: str) -> None:
    """By a command or a query at least."""
    look = PAGES[name].split("## How to look")[1].split("## How to fix")[0]
    assert "```" in look


@each_page
def test_commands_are_of_this_shell(name: str) -> None:
    need("bash")
    for block in blocks(PAGES[name], "sh"):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), block


@each_page
def test_queries_are_valid(name: str, tmp_path: Path) -> None:
    OLD.need()
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries(name))]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_page
def test_metrics_exist(name: str) -> None:
    suffixes = ("_bucket", "_sum", "_count")
    known = {*recorded(), *declared(), *(metric + suffix for metric in declared() for suffix in suffixes)}
    assert set(METRIC.findall(" ".join(queries(name)))) <= known


@pytest.mark.parametrize("name", alerts())
def test_the_alert_leads_to_a_dashboard_that_exists(name: str) -> None:
    """Wherever the template may lead, with variables that the dashboard has, filled from labels."""
    path = alerts()[name]["annotations"]["dashboard_url"].removeprefix("/d/")
    links = [link for link in re.split(r"\{\{ (?:if .+?|else|end) \}\}", path) if link]
    assert links
    for link in links:
        uid, _, arguments = link.partition("?")
        (document,) = (document for document in BOARDS.values() if document["uid"] == uid)
        given = re.findall(r"var-(\w+)=\{\{ \$labels\.(\w+) \| urlquery \}\}", arguments)
        assert len(given) == arguments.count("="), arguments
        assert {variable for variable, _ in given} <= {found["name"] for found in document["templating"]["list"]}
        assert all(variable == label for variable, label in given)
