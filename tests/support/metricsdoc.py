"""The metrics as docs/metrics.md has them, and as the code declares them."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

import exporter
from exporter.exposition.families import Metric

DOCS = Path(__file__).parent.parent.parent / "docs"
ROW = re.compile(r"^\| ([a-z_]+) \| (gauge|counter|histogram) \| ([a-z_, ]*)\| (.*)\|$", re.MULTILINE)


class Documented(NamedTuple):
    """A metric's kind and labels."""

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
