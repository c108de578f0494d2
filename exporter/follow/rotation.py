"""Find the files with the lines that are not yet read after a log was rotated, in either way.

Rotation by renaming: the file continues under another name, and the log's own name leads to a new one. Rotation by
copying and truncating: the lines continue in a copy, and the file itself starts again. If it happened more than once,
some files were never seen: those whose names say that they were rotated away after a file that is known. Times of
modification alone do not tell, because touching or copying old files makes them young.
"""

import errno
import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from exporter.follow.checkpoint import Checkpoint
from exporter.follow.names import rotated_names
from exporter.follow.openfile import OpenFile

MAX_ROTATED: Final = 2  # rotated files that are kept open, because a writer may still append to them

_RETRYABLE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the file can be opened later: it must not be skipped


class Found(NamedTuple):
    """The open files, oldest first; `current` is the last of them if the log's own name leads to a file, else None."""

    files: list[OpenFile]
    current: OpenFile | None
    lost: bool = False  # whether the newest file that was being read was not found


def at_end(path: Path, others: Collection[Path]) -> Found:
    """Return the log and what was last rotated away from it, all of it skipped. Raises OSError."""
    files, current = _open_all(path, (), others)
    youngest = max(files, key=lambda file: (file.rotated is not None, file.mtime()), default=None)
    scheme = youngest.rotated.scheme if youngest and youngest.rotated else None
    rotated = sorted((file for file in files if file.rotated and file.rotated.scheme == scheme), key=_order)
    kept = [*rotated[-MAX_ROTATED:], *([current] if current else [])]
    _close_others(files, kept)
    for file in kept:
        file.to_end()
    return Found(kept, current)


def reconcile(
    path: Path, checkpoints: Sequence[Checkpoint], held: Collection[OpenFile], others: Collection[Path]
) -> Found:
    """Return the file of each checkpoint (the newest last), wherever it is now, and the files that are newer.

    `held` are the files already open; those no longer needed are closed. `others` are never taken for rotated files.
    Raises OSError if the log itself cannot be opened, unless it is missing.
    """
    files, current = _open_all(path, held, others)
    found = _match(files, checkpoints, current)
    kept = [file for checkpoint in checkpoints for file in found[checkpoint]]
    # Older files are expected to be missing: they were read, and then compressed.
    lost = bool(checkpoints) and checkpoints[-1].offset > 0 and not found[checkpoints[-1]]
    if not any(file is current and file.checkpoint.offset for file in kept):
        # The log was rotated, or (if it was empty before) may have been: perhaps more than once.
        since = checkpoints[-1].mtime if checkpoints else 0
        kept += _rotated_since(since, files, kept)
    if current:
        if current in kept:
            kept.remove(current)
        elif any(c.is_of_missing() and current.mtime() < c.mtime for c in checkpoints):
            current.to_end()  # it was not created since, but came with its folder
        else:
            current.rewind()
        kept.append(current)
    _close_others(files, kept)
    return Found(kept, current, lost)


def missed(path: Path, since: int, held: Sequence[OpenFile], others: Collection[Path]) -> list[OpenFile]:
    """Return the files rotated away unseen: modified `since` (nanoseconds), and none of those held."""
    files, _ = _open_all(path, held, others)
    found = _rotated_since(since, files, held)
    _close_others(files, [*held, *found])
    return found


def _match(
    files: list[OpenFile], checkpoints: Sequence[Checkpoint], current: OpenFile | None
) -> dict[Checkpoint, list[OpenFile]]:
    """Return the files of each checkpoint, continued from there: one, none, or a deleted one and its copy."""
    found: dict[Checkpoint, list[OpenFile]] = {}
    # A file of which nothing was read may be a new copy of the file of another checkpoint: that one has priority.
    for checkpoint in sorted(checkpoints, key=Checkpoint.holds_nothing):
        taken = {file for matched in found.values() for file in matched}
        left = sorted((file for file in files if file not in taken), key=partial(_unlikeliness, checkpoint))
        whole = (file for file in left if file.resume(checkpoint))
        shorter = (file for file in left if file is not current and file.resume_in_truncated_copy(checkpoint))
        matched = [next(whole, None) or next(shorter, None)]
        if matched[0] and matched[0].deleted() and checkpoint.is_stamped():
            matched.append(next(whole, None))  # the folder was copied to and fro
        found[checkpoint] = [file for file in matched if file]
    return found


def _rotated_since(since: int, files: list[OpenFile], known: Sequence[OpenFile]) -> list[OpenFile]:
    """Return the files rotated away after those known, the oldest first, to be read from their beginnings.

    `since` is the time, in nanoseconds, after which they were modified; it alone decides if no rotated file is known.
    """
    found = [(file, file.rotated) for file in files if file.rotated and file not in known and file.mtime() >= since]
    # One of which nothing was read may have been copied, truncated and renamed since: then its copy is older.
    anchors = [file.rotated for file in known if file.rotated and file.checkpoint.offset]
    if anchors:
        scheme = anchors[-1].scheme
        last = max(name.order for name in anchors if name.scheme == scheme)
        found = [(file, name) for file, name in found if name.scheme == scheme and name.order > last]
        found.sort(key=lambda item: item[1].order)
    else:
        found = [(file, name) for file, name in found if not name.packed]
        found.sort(key=lambda item: item[0].mtime())
    for file, _ in found:
        file.rewind()
    return [file for file, _ in found]


def _order(file: OpenFile) -> tuple[int, ...]:
    return file.rotated.order if file.rotated else ()


def _unlikeliness(checkpoint: Checkpoint, file: OpenFile) -> tuple[bool, bool, int]:
    """Return a key that sorts the files of equal content by how likely they are to be the checkpoint's file.

    The same inode; or else the first copy that was made after the checkpoint.
    """
    mtime = file.mtime()
    return file.identity != checkpoint.identity, mtime < checkpoint.mtime, mtime


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
    for file in opened.values():
        file.rotated = None
    rotated = rotated_names(path.name, [name for name, _inode in listing])
    for name in (path.name, *rotated):
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
        elif known is not current:
            known.rotated = rotated[name]
    return current


def _listing(path: Path, others: Collection[Path]) -> set[tuple[str, int]]:
    """Return the names in the log's folder that begin as its own does, each with its inode."""
    try:
        with os.scandir(path.parent) as entries:
            inodes = {entry.name: entry.inode() for entry in entries if entry.name.startswith(path.stem)}
    except FileNotFoundError:
        return set()
    except PermissionError:  # a folder that can be traversed, but not listed
        return {(path.name, path.stat().st_ino)}
    # Other folders are looked at only if they have to be: their file systems may hang.
    namesakes = [other for other in others if other.name in inodes and other.name != path.name]
    foreign = {other.name for other in namesakes if _same_folder(other, path)}
    return {(name, inode) for name, inode in inodes.items() if name not in foreign}


def _same_folder(other: Path, path: Path) -> bool:
    if other.parent == path.parent:
        return True
    try:
        return other.parent.samefile(path.parent)
    except OSError:
        return False
