"""What is published works: the wheel on every Python of this machine, the oldest dependencies, the source distribution.

The tests of the unpacked source distribution run against the installed wheel: its own exporter/ is taken away first.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TESTS = ["tests/exposition", "tests/openvpn", "tests/sysv", "tests/test_cli.py", "tests/collectors/test_runner.py"]
TOOLS = ["hypothesis", "pytest", "pytest-timeout", "pytest-xdist", "requests"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("distribution")]


def _pythons() -> dict[str, str]:
    """Find an interpreter per minor version: on the PATH, or installed by pyenv."""
    found = {f"3.{sys.version_info.minor}": sys.executable}
    installed = sorted(str(path) for path in Path.home().glob(".pyenv/versions/*/bin/python3"))
    for candidate in [*filter(None, map(shutil.which, [f"python3.{minor}" for minor in range(11, 16)])), *installed]:
        asked = subprocess.run(
            [candidate, "-c", "import sys, venv; print(*sys.version_info[:2], sep='.')"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        version = asked.stdout.strip()
        if asked.returncode == 0 and version in SUPPORTED:
            found.setdefault(version, candidate)
    return found


SUPPORTED = {found[1] for each in PROJECT["classifiers"] if (found := re.search(r"Python :: (3\.\d+)$", each))}
PYTHONS = _pythons()


class Distribution(NamedTuple):
    """What `python -m build` made."""

    source: Path
    wheel: Path


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """Built as docs/releasing.md says, from a clean copy of what git knows."""
    clone = tmp_path_factory.mktemp("build") / "clone"
    if (ROOT / ".git").exists():
        run("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
    else:
        shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".venv", "dist", "__pycache__", ".*_cache"))
    run(sys.executable, "-m", "build", cwd=clone)
    (source,) = (clone / "dist").glob("*.tar.gz")
    (wheel,) = (clone / "dist").glob("*.whl")
    return Distribution(source, wheel)


def unpacked(distribution: Distribution, folder: Path) -> Path:
    """The source distribution without its exporter/."""
    shutil.unpack_archive(distribution.source, folder, filter="data")
    (tree,) = folder.iterdir()
    shutil.rmtree(tree / "exporter")
    return tree


def environment(python: str, folder: Path, *requirements: str) -> Path:
    """A virtual environment with these installed; returns its Python."""
    run(python, "-m", "venv", folder, cwd=ROOT)
    run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *requirements, cwd=folder)
    return folder / "bin" / "python"


def passes(python: Path, tree: Path, tests: Sequence[str] = TESTS) -> None:
    """Run tests of the tree against what is installed."""
    assert run(python, "-P", "-c", "import exporter; print(exporter.__file__)", cwd=tree).startswith(
        str(python.parents[1])
    )
    printed = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "-m", "not slow", *tests, cwd=tree)
    counted = re.search(r"(\d+) passed", printed)
    assert counted
    assert int(counted[1]) > 100


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_the_wheel(distribution: Distribution, version: str, tmp_path: Path) -> None:
    """Installed with the newest dependencies, it passes the tests, and its programs start."""
    python = environment(PYTHONS[version], tmp_path / "venv", f"{distribution.wheel}[log-rules]", *TOOLS)
    passes(python, unpacked(distribution, tmp_path / "source"))
    for program in ("openvpn-mq-exporter", "openvpn-mq-hook"):
        assert re.search(r"\d+\.\d+", run(python.parent / program, "--version", cwd=tmp_path))


def test_the_oldest_dependencies(distribution: Distribution, tmp_path: Path) -> None:
    """Each dependency as old as pyproject.toml allows."""
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["log-rules"]
    oldest = [re.sub(r"^([A-Za-z0-9_.-]+)>=([0-9.]+).*", r"\1==\2", requirement) for requirement in wanted]
    assert all("==" in requirement for requirement in oldest)
    python = environment(sys.executable, tmp_path / "venv", str(distribution.wheel), *oldest, *TOOLS)
    passes(python, unpacked(distribution, tmp_path / "source"))


def test_the_source_distribution_is_whole(distribution: Distribution, tmp_path: Path) -> None:
    """Whatever a test or a page of the project reads is in it."""
    tree = unpacked(distribution, tmp_path)
    for name in ("CONTRIBUTING.md", "Dockerfile", "Makefile", "bench", "dashboards", "deploy", "docs", "tests"):
        assert (tree / name).exists(), name
