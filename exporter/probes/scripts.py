"""Whether a script of OpenVPN's runs just now, from the end of the record that openvpn-mq-hook writes."""

import os
from pathlib import Path
from typing import Final

from exporter.openvpn.hookrecord import Run, Start, parse
from exporter.procfs import there

_TAIL: Final = 64 * 1024  # bytes: some hundred scripts, of which only the last one can be running


def running_script(record: Path, server: str, procfs: Path) -> str | None:
    """The hook of a script that has begun and not ended, and whose process is there; None where none is known.

    Of a record that several servers share, only the lines that name this one count.
    """
    try:
        with record.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = [line for line in parse(file.read(_TAIL)) if line]
    except OSError:
        return None  # the collector `hooks` says so
    shared = len({line.run.server for line in lines}) > 1
    begun: dict[Run, None] = {}
    for line in lines:
        if shared and line.run.server != server:
            continue
        if isinstance(line, Start):
            begun[line.run] = None
        else:
            begun.pop(line.run, None)
    return next((run.hook for run in reversed(begun) if there(procfs, run.pid, run.start_ticks)), None)
