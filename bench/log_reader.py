"""Counts a whole log as the collector `log` does, in a process of its own: log_reader.py LOG; for log.py."""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from exporter.collectors.log_server import ServerLog
from exporter.collectors.log_server_counts import families
from exporter.follow.file import FollowedFile
from exporter.follow.positions import Positions


def main(log: Path) -> None:
    """Begin before the log is there, so that all of it is new; then let it appear, and print what was counted."""
    log_of_server = ServerLog("bench")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.log")
        source = FollowedFile(path, log_of_server.on_lines, Positions(Path(folder, "state")))
        source.step(0)
        os.utime(log)
        path.symlink_to(log)
        begin = time.process_time()
        while source.step(2):
            pass
        seconds = time.process_time() - begin
    counted = {
        "/".join([family.metric.name, *labels[1:]]): value
        for family in families({"bench": log_of_server.counts})
        for value, *labels in zip(family.values, *family.columns, strict=True)
        if value
    }
    peak = re.search(r"VmHWM:\s*([0-9]+) kB", Path("/proc/self/status").read_text())
    json.dump({"seconds": seconds, "MiB": int(peak[1]) / 1024 if peak else 0, "counted": counted}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
