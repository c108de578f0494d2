"""Find the files with the lines that are not yet read after a log was rotated, in either way.

Rotation by renaming: the file continues under another name, and the log's own name leads to a new one. Rotation by
copying and truncating: the lines continue in a copy, and the file itself starts again.
"""

import errno
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from exporter.follow.checkpoint import Checkpoint
from exporter.follow.openfile import OpenFile

_RETRYABLE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the file can be opened later: it must not be skipped


class Found(NamedTuple):
    """The open files, oldest first; `current` is the last of them if the log's own name leads to a file, else None."""

    files: list[OpenFile]
    current: OpenFile | None
    lost: bool = False  # whether the newest file that was being read was not found


def at_end(path: Path, others: Collection[Path]) -> Found:
    """Return the log and what was rotated away from it, all of it skipped. Raises OSError."""
    files, current = _open_all(path, (), others)
    for file in files:
        file.to_end()
    files.sort(key=lambda file: (file is current, file.mtime()))
    return Found(files, current)


def reconcile(
    path: Path, checkpoints: Sequence[Checkpoint], held: Collection[OpenFile], others: Collection[Path]
) -> Found:
    """Return the file of each checkpoint (the newest last), wherever it is now, and the files that are newer.

    `held` are the files already open; those no longer needed are closed. `others` are never taken for rotated files.
    Raises OSError if the log itself cannot be opened, unless it is missing.
    """
    files, current = _open_all(path, held, others)
    kept: list[OpenFile] = []
    lost = False
    # A file of which nothing was read may be a new copy of the file of another checkpoint: that one has priority.
    for checkpoint in sorted(checkpoints, key=lambda checkpoint: checkpoint.offset == 0):
        left = sorted((f for f in files if f not in kept), key=lambda file: file.identity != checkpoint.identity)
        whole = (file for file in left if file.resume(checkpoint))
        shorter = (file for file in left if file is not current and file.resume_in_truncated_copy(checkpoint))
        file = next(whole, None) or next(shorter, None)
        if file:
            kept.append(file)
        if file is None and checkpoint is checkpoints[-1] and checkpoint.offset > 0:
            lost = True  # older ones are expected to be missing: they were read, and then compressed
    if not any(file is current and file.checkpoint.offset for file in kept):
        # The log was rotated, or (if it was empty before) may have been: perhaps more than once.
        since = max((checkpoint.mtime for checkpoint in checkpoints), default=0)
        kept += _modified_since(since, files, [*kept, current])
    if current:
        if current in kept:
            kept.remove(current)
        else:
            current.rewind()
        kept.append(current)
    _close_others(files, kept)
    return Found(kept, current, lost)


def missed(path: Path, since: int, held: Collection[OpenFile], others: Collection[Path]) -> list[OpenFile]:
    """Return the files rotated away unseen: modified `since` (nanoseconds), and none of those held."""
    files, current = _open_all(path, held, others)
    found = _modified_since(since, files, [*held, current])
    _close_others(files, [*held, *found])
    return found


def _modified_since(since: int, files: list[OpenFile], known: Collection[OpenFile | None]) -> list[OpenFile]:
    found = sorted((f for f in files if f not in known and f.mtime() >= since), key=OpenFile.mtime)
    for file in found:
        file.rewind()
    return found


def _close_others(files: list[OpenFile], kept: Collection[OpenFile]) -> None:
    for file in files:
        if file not in kept:
            file.close()


def _open_all(
    path: Path, held: Collection[OpenFile], others: Collection[Path]
) -> tuple[list[OpenFile], OpenFile | None]:
    """Return the files held, the log and what was rotated away from it, each once; and which of them is the log now."""
    opened = {file.identity: file for file in held}
    current = None
    try:
        for _ in range(5):  # names may change meanwhile: list again until two listings agree
            before = _listing(path, others)
            current = _open_listed(path, before, opened)
            if _listing(path, others) == before:
                break
    except OSError:
        _close_others(list(opened.values()), held)
        raise
    return list(opened.values()), current


def _open_listed(path: Path, listing: set[tuple[str, int]], opened: dict[tuple[int, int], OpenFile]) -> OpenFile | None:
    """Add the files of the names to those opened; return the one that the log's own name leads to."""
    current = None
    for name, _inode in listing:
        try:
            file = OpenFile(path.with_name(name))
        except FileNotFoundError:
            continue  # renamed meanwhile
        except OSError as error:
            if name == path.name or error.errno in _RETRYABLE:
                raise
            continue
        known = opened.setdefault(file.identity, file)
        if known is not file:
            known.mtime_at_open = file.mtime_at_open
            file.close()
        if name == path.name:
            current = known
    return current


def _listing(path: Path, others: Collection[Path]) -> set[tuple[str, int]]:
    """Return the names of the log and of what rotation made of it, each with its inode."""
    stem, suffix, name = re.escape(path.stem), re.escape(path.suffix), re.escape(path.name)
    number = r"[.-](?:[0-9][0-9T_.:Z-]*|old)"  # server.log.1, server.log-20261123, server-20261123.log
    wanted = re.compile(rf"{name}(?:{number})?|{stem}{number}{suffix}")
    foreign = {other.name for other in others if other != path and other.parent == path.parent}
    try:
        with os.scandir(path.parent) as entries:
            names = [entry for entry in entries if wanted.fullmatch(entry.name) and entry.name not in foreign]
            return {(entry.name, entry.inode()) for entry in names}
    except FileNotFoundError:
        return set()
    except PermissionError:  # a folder that can be traversed, but not listed
        return {(path.name, path.stat().st_ino)}
