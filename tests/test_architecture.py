"""Imports go downwards only, and the map in CONTRIBUTING.md names every room."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "exporter"

# Lower rooms first: a module may import from its own room and from those on lines above, never from those below.
LAYERS = [
    {"errors", "files", "logs", "memo"},
    {"background", "procfs", "signals"},
    {"openvpn", "sysv", "exposition.families", "exposition.singleflight"},
    {"config"},
    {"discovery", "exposition", "follow", "probes", "trace"},
    {"process_events"},
    {"collectors"},
    {"web"},
    {"app", "check", "demo"},
    {"cli"},
    {"__main__"},
]
ALONE = "hook"  # starts in milliseconds: it imports nothing of the rest, and the rest only its record's constants


@cache
def modules() -> dict[str, Path]:
    """Dotted name below `exporter` -> file, package modules under the package's own name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


@cache
def imports(path: Path) -> set[str]:
    """Modules below `exporter` that a file imports, as dotted names below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "exporter":
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            base = node.module.removeprefix("exporter").removeprefix(".")
            known = modules()
            for name in node.names:
                inner = f"{base}.{name.name}".strip(".")
                found.add(inner if inner in known else base)
        elif isinstance(node, ast.Import):
            found |= {name.name.removeprefix("exporter.") for name in node.names if name.name.startswith("exporter.")}
    return found - {""}


def layer(module: str) -> int:
    """The line of LAYERS that a module is on; the longest match counts."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, rooms in enumerate(LAYERS):
            if ".".join(parts[:length]) in rooms:
                return number
    raise AssertionError(f"exporter/{module.replace('.', '/')}.py is in no room of this test's LAYERS")


def test_imports_go_downwards() -> None:
    upward = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if module.split(".")[0] != ALONE
        for imported in imports(path)
        if imported.split(".")[0] != ALONE and layer(imported) > layer(module)
    ]
    assert upward == []


def test_no_circles() -> None:
    """Inside a room too, no module imports itself by way of others."""
    graph = {module: imports(path) & modules().keys() for module, path in modules().items()}
    while leaves := {module for module, imported in graph.items() if not imported}:
        graph = {module: imported - leaves for module, imported in graph.items() if module not in leaves}
    assert graph == {}


def test_the_hook_stands_alone() -> None:
    strays = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if module.split(".")[0] == ALONE
        for imported in imports(path)
        if imported.split(".")[0] != ALONE
    ]
    assert strays == []


def test_collectors_do_not_know_each_other() -> None:
    """Only the registry knows them all; what they share is in base, context and snapshot.

    A collector of several modules names them after itself, as hooks, hooks_record and hooks_counts.
    """

    def collector(module: str) -> str:
        return module.split(".")[1].partition("_")[0]

    shared = {"base", "context", "snapshot", "servers", "registry", "runner"}
    strays = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        if module.startswith("collectors.") and module.split(".")[1] not in {"registry", "runner"}
        for imported in imports(path)
        if imported.startswith("collectors.")
        and imported.split(".")[1] not in shared
        and collector(imported) != collector(module)
    ]
    assert strays == []


def test_a_circle_or_an_upward_import_would_be_seen(tmp_path: Path) -> None:
    """The check itself: what it reads out of a file."""
    path = tmp_path / "module.py"
    path.write_text(
        "import exporter.web.server\nfrom exporter.collectors import log\nfrom exporter.config.model import A\n"
    )
    assert imports(path) == {"web.server", "collectors.log", "config.model"}
    assert layer("web.server") > layer("collectors.log") > layer("config.model")


def test_the_map_names_every_room() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    files = {path.name for path in PACKAGE.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}}
    assert {room for room in rooms if f"exporter/{room}/" not in page} == set()
    assert {file for file in files if file not in page} == set()


def test_what_tests_share_is_in_support() -> None:
    """No test file imports another one: what two of them need has a module of its own."""
    borrowed = [
        f"{path.relative_to(ROOT)} imports {node.module}"
        for path in (*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and ".test_" in f".{node.module}"
    ]
    assert borrowed == []
