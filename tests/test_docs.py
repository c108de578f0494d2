"""docs/metrics.md says what the code exports, no more and no less."""

import importlib
import pkgutil
import re

import exporter
from exporter.exposition.families import Metric
from tests.support.metricsdoc import DOCS, declared, documented


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
