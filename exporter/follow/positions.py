"""Remembered positions: a folder with one small JSON file per source that is followed.

A position is written after the lines before it have been handed over: to a new file which then takes the old one's
name, so that a reader finds either the old one or the new one, complete. That holds if the process is killed at any
moment and if the disk is full. It is not forced to disk: after a power failure a position may be some seconds old, as
the log itself may be.
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
    """How far each source was read, by the source's name; remembers nothing without a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Create the folder if it is missing. Raises RefusedError if positions cannot be written to it."""
        self._folder = folder
        self._state_log = StateLog(_log)
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
        """Return the JSON value that was saved last; None if there is none, or if it cannot be read."""
        if not self._folder:
            return None
        path = self._path(self._folder, source)
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning(f"the position in {path} cannot be read ({error}); {source} is read from its end")
            return None

    def save(self, source: str, position: Any) -> None:
        """Replace what was saved. A failure keeps the old position and is logged once; the next save tries again."""
        if not self._folder:
            return
        path = self._path(self._folder, source)
        try:
            write_atomically(path, json.dumps(position).encode())
        except OSError as error:
            self._state_log.problem(
                source,
                f"cannot save the position of {source} in {path}: {error.strerror}; until it can, a restart counts "
                "lines again",
            )
        else:
            self._state_log.resolved(source, f"the position of {source} is saved again")

    @staticmethod
    def _path(folder: Path, source: str) -> Path:
        """Return a file name that shows which source it is for, and that no two sources share."""
        digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:12]
        return folder / f"{_UNSAFE.sub('-', source)[-100:].lstrip('.-')}-{digest}.json"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content; its name always leads to the old or the new content, complete. Only its owner can read.

    Raises OSError if it cannot be written, for example because the disk is full; the old content stays then.
    """
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            while data:  # on a nearly full disk, a write may take a part of it and the next one fails
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)  # it would keep the space that it needs
        raise
