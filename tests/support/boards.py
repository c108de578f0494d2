"""The committed dashboards, taken apart: panels, queries, variables."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards" / "grafana"
NAMES = ("fleet", "queues", "openvpn")

Document = dict[str, Any]


def board(name: str) -> Document:
    document: Document = json.loads((FOLDER / f"{name}.json").read_text())
    return document


BOARDS = {name: board(name) for name in NAMES}

PANELS = [
    (f"{name}: {panel['title']}", panel)
    for name, document in BOARDS.items()
    for panel in document["panels"]
    if panel["type"] != "row"
]
"""Every panel that is not a row, of all dashboards, with a name that tells which."""

TARGETS = [(f"{name} {target['refId']}", panel, target) for name, panel in PANELS for target in panel["targets"]]
"""Every query of every panel."""


def substituted(expression: str, variables: Mapping[str, str], *, window: str, whole: str) -> str:
    """The query as Grafana sends it; KeyError for a variable that is not known."""
    values = {"__rate_interval": window, "__range": whole, "__interval": "2s", **variables}
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], expression)


def shown_name(panel: Document, target: Document, labels: Mapping[str, str]) -> str:
    """What a graph's legend calls a series: by its labels, then as the panel's transformation renames it."""
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda label: labels.get(label[1], ""), target["legendFormat"])
    for step in panel.get("transformations", []):
        assert step["id"] == "renameByRegex"
        pattern, new = step["options"]["regex"].strip("/"), step["options"]["renamePattern"]
        name = re.sub(pattern, new.replace("$", "\\"), name)
    return name


def names(expression: str) -> Iterator[tuple[str, str]]:
    """Every name in a PromQL expression that is no label, no keyword and in no string; and what follows it."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression.replace(" @ end()", ""))
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    for found in re.finditer(r"(?<![\w$.])([A-Za-z_:][\w:]*)\s*(.?)", re.sub(r"\{[^}]*\}|\[[^]]*\]", "{", bare)):
        if found[1] not in {"or", "and", "unless", "bool", "offset"}:
            yield found[1], found[2]
