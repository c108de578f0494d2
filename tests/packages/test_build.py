"""Building a package on a host that lacks something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("there", "missing"), [((), "binutils and git"), (("git",), "binutils"), (("strip",), "git")])
def test_what_is_missing_is_a_sentence(tmp_path: Path, there: tuple[str, ...], missing: str) -> None:
    """As on a VPN host, where nobody has built anything yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("git is needed in a clone only")
    for name in there:
        (tmp_path / name).touch(0o755)
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "packages.build", "deb"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"the package cannot be built without {missing}: install that first\n"
