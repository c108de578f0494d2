"""What docs/alerts.md and docs/dashboards.md tell a reader to type works, with folders of our own."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.boards import NAMES
from tests.support.markdown import blocks
from tests.support.releases import Release
from tests.support.rulebook import ALERTMANAGER, alerts, read, recorded

ROOT = Path(__file__).parents[2]
ALERTS_PAGE, DASHBOARDS_PAGE = ((ROOT / "docs" / page).read_text() for page in ("alerts.md", "dashboards.md"))


def moved(text: str, folder: Path) -> str:
    """With /etc and /var in a folder."""
    return re.sub(r"(?<= )/(etc|var)/", rf"{folder}/\1/", text)


def rules_in(path: Path) -> list[dict[str, Any]]:
    """Return the rules of a file."""
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def typed(script: str, where: Path) -> str:
    """Type it there; what was printed."""
    done = subprocess.run(["sh", "-eu"], input=script, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_are_loaded_as_the_page_says(tmp_path: Path, release: Release) -> None:
    install, *_ = blocks(ALERTS_PAGE, "sh")
    typed(moved(install, tmp_path), ROOT)
    (configuration,) = blocks(ALERTS_PAGE, "yaml")
    config = tmp_path / "prometheus.yml"
    config.write_text(moved(configuration, tmp_path))
    checked = subprocess.run(
        [release.promtool, "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len(recorded())} rules found" in checked.stdout
    assert f"{len(alerts())} rules found" in checked.stdout
    links = [rule["annotations"]["dashboard_url"] for rule in rules_in(tmp_path / "etc/prometheus/rules/alerts.yml")]
    assert len(links) == len(alerts())
    assert all(link.startswith("https://grafana.example.org/d/") for link in links)


def test_alertmanager_is_asked_as_the_page_says(release: Release) -> None:
    """In the folder with the example, by the release's own tool."""
    _, ask, _ = blocks(ALERTS_PAGE, "sh")
    said = typed(ask.replace("amtool", release.amtool), ALERTMANAGER)
    assert "SUCCESS" in said
    assert said.endswith("openvpn-mq-page\n")


def test_dashboards_are_provisioned_as_the_page_says(tmp_path: Path) -> None:
    install, build = blocks(DASHBOARDS_PAGE, "sh")
    assert build == ".venv/bin/python -m dashboards\n", "which test_build.py tries"
    *copies, restart = install.splitlines()
    assert restart == "systemctl restart grafana-server"
    typed(moved("\n".join(copies), tmp_path), ROOT)
    placed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    folder = "var/lib/grafana/dashboards/openvpn-mq"
    assert placed == {
        "etc/grafana/provisioning/dashboards/openvpn-mq.yml",
        *(f"{folder}/{name}.json" for name in NAMES),
    }
