"""docs/metrics.md says what the code exports, no more and no less."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

import exporter
from exporter.exposition.families import Metric

DOCS = Path(__file__).parent.parent / "docs"
ROW = re.compile(r"^\| ([a-z_]+) \| (gauge|counter|histogram) \| ([a-z_, ]*)\| (.*)\|$", re.MULTILINE)


class Documented(NamedTuple):
    kind: str
    labels: frozenset[str]


def documented() -> dict[str, Documented]:
    rows = ROW.findall((DOCS / "metrics.md").read_text())
    names = [name for name, *_ in rows]
    assert len(names) == len(set(names))
    return {name: Documented(kind, frozenset(labels.replace(",", " ").split())) for name, kind, labels, _ in rows}


def declared() -> dict[str, Documented]:
    """Every Metric that a module of the package declares."""
    found = {}
    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Metric):
                    found[value.name] = Documented(value.kind, frozenset(value.labels))
    return found


def test_every_metric_is_documented_as_it_is() -> None:
    """Name, type and labels; beside them only what prometheus_client adds."""
    ours = {name: row for name, row in documented().items() if not name.startswith(("process_", "python_"))}
    assert ours == declared()


def test_every_table_row_is_read() -> None:
    """A row that the pattern above does not match would go unchecked."""
    lines = [line for line in (DOCS / "metrics.md").read_text().splitlines() if line.startswith("| ")]
    assert len(lines) == len(documented()) + sum(line.startswith("| metric ") for line in lines)


def test_help_names_the_source() -> None:
    """Each HELP is a sentence."""
    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Metric):
                    assert re.fullmatch(r"\S.{8,}\.", value.help), value.name
