"""Writes dashboards/grafana/*.json from the Python beside it: `python -m dashboards`."""

from pathlib import Path
from typing import Final

from dashboards import fleet, openvpn, queues
from dashboards.board import render

FOLDER: Final = Path(__file__).parent / "grafana"

BOARDS: Final = {"fleet.json": fleet.BOARD, "queues.json": queues.BOARD, "openvpn.json": openvpn.BOARD}

if __name__ == "__main__":
    for name, board in BOARDS.items():
        (FOLDER / name).write_text(render(board))
