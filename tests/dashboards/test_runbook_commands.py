"""What a runbook asks to be typed shows what it is typed for, on a host that has the trouble."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.hooks import HOOK
from tests.support.markdown import blocks
from tests.support.openvpn import Lab, wait_until

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


def commands(name: str) -> list[str]:
    """The lines of the runbook's blocks, in order."""
    return [line for block in blocks((RUNBOOKS / f"{name}.md").read_text(), "sh") for line in block.splitlines()]


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "under the hook"])
def test_a_hanging_script_is_listed_with_its_pid(wrapped: bool) -> None:
    """OpenVPN's child, which has another name."""
    with Lab() as lab:
        script = lab.script("hangs", f"echo $$ > {lab.folder}/pid; exec sleep 1000")
        line = f"{HOOK} --record {lab.folder}/hooks.jsonl --server vpn -- {script}" if wrapped else str(script)
        lab.server(f'client-connect "{line}"')
        lab.client("alice")
        noted = lab.folder / "pid"
        wait_until(lambda: noted.exists() and noted.read_text().endswith("\n"), "the script hangs")
        listing = commands("OpenvpnMqScriptHanging")[0]
        shown = subprocess.run(["bash", "-c", listing], capture_output=True, text=True, check=True, timeout=60).stdout
        (row,) = re.findall(rf"^ *{noted.read_text().strip()} .*", shown, flags=re.MULTILINE)
        assert "sleep 1000" in row
        subprocess.run(["kill", noted.read_text().strip()], check=True)
