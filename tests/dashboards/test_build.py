"""The committed JSON is what the Python beside it builds, and what Grafana is given."""

from pathlib import Path

import yaml

from dashboards.__main__ import BOARDS, FOLDER
from dashboards.board import TITLES, render

PROVISIONING = FOLDER.parent / "provisioning"


def test_building_again_changes_nothing() -> None:
    """Whoever edits the JSON by hand, or the Python without building, is told so here."""
    built = {name: render(board) for name, board in BOARDS.items()}
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert committed == built, "run: python -m dashboards"


def test_uids_never_change() -> None:
    """Alerts, runbooks and people's bookmarks hold them."""
    assert [board.uid for board in BOARDS.values()] == ["openvpn-mq-fleet", "openvpn-mq-queues", "openvpn-mq-openvpn"]
    assert set(TITLES) == {board.uid for board in BOARDS.values()}


def test_provisioning_names_a_prometheus_data_source() -> None:
    """The dashboards' variable `datasource` lists those of type prometheus."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"].startswith("http://")


def test_provisioning_reads_the_folder_that_the_documentation_fills() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/openvpn-mq.yml").read_text())["providers"]
    assert provider["type"] == "file"
    documentation = Path(__file__).parents[2] / "docs" / "dashboards.md"
    assert provider["options"]["path"] in documentation.read_text()
