"""One life of a follower, to be ended by SIGKILL: `python -m tests.support.life LOG STATE`.

What it has counted stands in the file that remembers the position, so that both are always from the same moment:
in one life, a count and a position are one state, and a life that is killed leaves nothing half done. STATE is
therefore the account of all lives together.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from exporter.follow.file import FollowedFile
from exporter.follow.positions import Positions, write_atomically
from tests.support.numbered import Account


class Counted(Positions):
    """Keeps the account beside the position, in one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(None)
        self._state = path
        saved: dict[str, Any] = (
            json.loads(path.read_bytes()) if path.exists() else {"position": None, "account": Account()}
        )
        self._position = saved["position"]
        self.account = Account(*saved["account"])

    def load(self, source: str) -> Any:  # there is one source
        return self._position

    def save(self, source: str, position: Any) -> None:
        write_atomically(self._state, json.dumps({"position": position, "account": self.account}).encode())


def main(log: Path, state: Path) -> None:
    counted = Counted(state)

    def take(batch: bytes) -> None:
        counted.account = counted.account.plus(batch)

    source = FollowedFile(log, take, counted)
    while True:
        if not source.step(time.monotonic()):
            assert source.fault is None or "No such file" in source.fault, source.fault
            time.sleep(0.003)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
