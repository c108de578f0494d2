"""Remembered positions: a folder with one small JSON file for each source that is followed.

A position is written after the lines before it have been handed over: to a new file which then takes the old one's
name, so that whoever reads it finds the old one or the new one, whole. That holds when the process is killed at any
moment. It is not forced to disk: after a power failure a position may be some seconds old, as the log itself may be.
"""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any, Final

from exporter.errors import RefusedError
from exporter.logs import StateLog

_log = logging.getLogger(__name__)

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.@-]+")


class Positions:
    """What was read up to where, by the source's name; forgets everything where there is no folder."""

    def __init__(self, folder: Path | None) -> None:
        """Make the folder where it is missing. Raises RefusedError where positions cannot be written to it."""
        self._folder = folder
        self._notices = StateLog(_log)
        if folder:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(folder / ".try", b"")
                (folder / ".try").unlink()
            except OSError as error:
                raise RefusedError(
                    f"cannot write to --state.directory {folder}: {error.strerror}; "
                    "it must belong to the user that the exporter runs as"
                ) from None

    def load(self, source: str) -> Any:
        """The JSON value that was saved last; None where there is none, or where it cannot be read."""
        if not self._folder:
            return None
        path = self._path(self._folder, source)
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("%s", f"the position in {path} cannot be read ({error}); {source} is read from its end")
            return None

    def save(self, source: str, position: Any) -> None:
        """Replace what was saved. A failure is said once, and the next save tries again."""
        if not self._folder:
            return
        path = self._path(self._folder, source)
        try:
            write_atomically(path, json.dumps(position).encode())
        except OSError as error:
            self._notices.problem(
                source,
                f"cannot remember the position of {source} in {path}: {error.strerror}; a restart will repeat lines",
            )
        else:
            self._notices.resolved(source, f"the position of {source} is remembered again")

    @staticmethod
    def _path(folder: Path, source: str) -> Path:
        """A name that tells a person which source it is, and that no two sources share."""
        digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:12]
        return folder / f"{_UNSAFE.sub('-', source)[-100:].lstrip('.-')}-{digest}.json"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, so that its name always stands for old or new content, whole."""
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    fresh.replace(path)
