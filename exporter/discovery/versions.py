"""The version of a running OpenVPN, from the text in its program file; the program is never run."""

import os
import re
import stat
import time
from pathlib import Path
from typing import Final

_TITLE: Final = re.compile(rb"OpenVPN ([0-9]+\.[0-9]+[0-9A-Za-z._+-]{0,30}) [a-z0-9_]+-")  # and its platform follows
_MAX_BYTES: Final = 32 << 20


def parse_version(text: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version such as 2.6.14 or 2.7_rc1; None if there are none."""
    match = re.match(r"([0-9]+)\.([0-9]+)", text)
    return (int(match[1]), int(match[2])) if match else None


class Versions:
    """Reads each program file once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, float], str] = {}

    def read(self, program: Path, started: float) -> str:
        """Return the version of the program that runs since `started` (Unix seconds); empty if unknown.

        A file that was replaced since then is that of another version.
        """
        try:
            found = program.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES or found.st_ctime > started:
                return ""
            key = found.st_dev, found.st_ino, found.st_ctime
            if key not in self._known:
                if len(self._known) > 100:
                    self._known.clear()
                match = _TITLE.search(program.read_bytes())
                self._known[key] = match[1].decode() if match else ""
            return self._known[key]
        except OSError:
            return ""


def started_at(start_ticks: int) -> float:
    """Return in Unix seconds when a process began that started so many clock ticks after boot."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + start_ticks / os.sysconf("SC_CLK_TCK")
