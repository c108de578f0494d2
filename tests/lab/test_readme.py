"""What the README tells a reader to type works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.cli import command_line
from tests.support import markdown
from tests.support.kernel import make, set_limit
from tests.support.needs import need
from tests.support.program import running
from tests.support.prometheus import prometheus

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").iterdir()),
]


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return markdown.blocks(README, language)


@pytest.mark.usefixtures("queues")
def test_queries(tmp_path: Path) -> None:
    """Each finds the queue that it is meant to find, full by bytes, full by number, or with an old limit."""
    need("prometheus")
    by_bytes = make(1, b"x" * 90)
    by_number = make(2, *[b""] * 90)
    for queue in (by_bytes, by_number):
        set_limit(queue.id, 100)
    make(3, b"x")
    fill, old_limit = blocks("promql")
    with running() as program, prometheus(tmp_path, program.addresses()) as server:
        for query, value in ((fill, "0.9"), (old_limit, "100")):
            server.wait_for(query)
            found = {series["metric"]["queue"]: series["value"][1] for series in server.query(query)}
            assert found == {"0x00000001": value, "0x00000002": value}


def test_scrape_configuration(tmp_path: Path) -> None:
    need("promtool")
    (block,) = [block for block in blocks("yaml") if "scrape_configs" in block]
    path = tmp_path / "prometheus.yml"
    path.write_text(block)
    checked = subprocess.run(["promtool", "check", "config", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_configuration(tmp_path: Path) -> None:
    configurations = [block for block in blocks("yaml") if "scrape_configs" not in block]
    assert [list(yaml.safe_load(block)) for block in configurations] == [["servers"], ["queues"]]
    path = tmp_path / "config.yml"
    path.write_text("".join(configurations))
    command = [sys.executable, "-m", "exporter", f"--config.file={path}", "--config.check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_exist(page: Path) -> None:
    """Every flag of the exporter that a page mentions is one."""
    known = set(re.findall(r"--[\w.-]+", command_line().format_help()))
    prefixes = ("--web.", "--collector.", "--no-collector.", "--config.", "--path.", "--log.", "--openvpn.", "--trace.")
    mentioned = {flag.rstrip(".") for flag in re.findall(r"--[\w.-]+", page.read_text()) if flag.startswith(prefixes)}
    assert {flag for flag in mentioned if not flag.endswith("collector.NAME")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_make_targets_exist() -> None:
    """The two commands, and the others."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b(?= |`|$)", "\n".join(blocks("sh")), re.MULTILINE)) <= targets
    assert {"run", "test", "tools", "bench"} <= targets
