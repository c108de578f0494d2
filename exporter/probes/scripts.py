"""Find out whether OpenVPN runs a script right now, from the end of the record of openvpn-mq-hook."""

import os
from pathlib import Path
from typing import Final

from exporter.files import open_regular
from exporter.openvpn.hookrecord import OpenRuns, Start, parse_record
from exporter.procfs import is_running

_TAIL: Final = 64 * 1024  # bytes: some hundred scripts, of which only the last one can be running


def running_script(record: Path, server: str | None, procfs: Path) -> str | None:
    """Return the hook of a script that has started and not ended and whose process runs; None if none is known.

    `server`: of a record that several servers share, the one whose lines count; None if all lines do.
    """
    try:
        with open(open_regular(record), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            batch = file.read(_TAIL)
    except OSError:
        return None  # the collector `hooks` reports it
    open_runs = OpenRuns()
    for line in parse_record(batch):
        if line is None or (server is not None and line.run.server != server):
            continue
        if isinstance(line, Start):
            open_runs.start(line.run)
        else:
            open_runs.end(line.run)
    return next((run.hook for run in reversed(open_runs.runs()) if is_running(procfs, run.pid, run.start_ticks)), None)
