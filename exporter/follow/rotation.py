"""Which open files hold the lines that are not yet read, when a log has been rotated in either way.

Rotation by renaming: the file goes on under another name, and the log's own name leads to a new one. Rotation by
copying and truncating: the lines go on in a copy, and the file itself begins anew.
"""

import errno
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from exporter.follow.openfile import Mark, OpenFile

_WANTING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # it can be opened later, so it must not be passed over


class Found(NamedTuple):
    """The open files, oldest first, `current` the last of them where the log's own name leads to a file."""

    files: list[OpenFile]
    current: OpenFile | None
    lost: bool = False  # whether the newest file that was being read is nowhere to be found


def at_end(path: Path) -> Found:
    """The log and what was rotated away from it, all of it passed over. Raises OSError."""
    files, current = _open_all(path, ())
    for file in files:
        file.to_end()
    files.sort(key=lambda file: (file is current, file.changed()))
    return Found(files, current)


def reconcile(path: Path, marks: Sequence[Mark], held: Collection[OpenFile]) -> Found:
    """The file of each mark (the newest last), wherever it is now, and those that came into being since.

    Of the files `held` open, those that are not needed any more are closed. Raises OSError where the log itself
    cannot be opened, except where it is missing.
    """
    files, current = _open_all(path, held)
    kept: list[OpenFile] = []
    lost = False
    # A file of which nothing was read may be a copy, just made, of what another mark is about: that one goes first.
    for mark in sorted(marks, key=lambda mark: mark.offset == 0):
        others = sorted((f for f in files if f not in kept), key=lambda file: file.identity != mark.identity)
        whole = (file for file in others if file.resume(mark))
        shorter = (file for file in others if file is not current and file.resume_shorter(mark))
        file = next(whole, None) or next(shorter, None)
        if file:
            kept.append(file)
        if file is None and mark is marks[-1] and mark.offset > 0:
            lost = True  # of older ones it is to be expected: they were read, and compressed
    if not any(file is current and file.mark.offset for file in kept):
        # The log was rotated, or (where it was empty before) may have been: perhaps not only once.
        kept += _changed_since(max((mark.changed for mark in marks), default=0), files, [*kept, current])
    if current:
        if current in kept:
            kept.remove(current)
        else:
            current.rewind()
        kept.append(current)
    _close_others(files, kept)
    return Found(kept, current, lost)


def missed(path: Path, since: int, held: Collection[OpenFile]) -> list[OpenFile]:
    """What was rotated away from the log while nobody looked: changed `since` (nanoseconds), and none of those held."""
    files, current = _open_all(path, held)
    found = _changed_since(since, files, [*held, current])
    _close_others(files, [*held, *found])
    return found


def _changed_since(since: int, files: list[OpenFile], known: Collection[OpenFile | None]) -> list[OpenFile]:
    found = sorted((f for f in files if f not in known and f.changed() >= since), key=OpenFile.changed)
    for file in found:
        file.rewind()
    return found


def _close_others(files: list[OpenFile], kept: Collection[OpenFile]) -> None:
    for file in files:
        if file not in kept:
            file.close()


def _open_all(path: Path, held: Collection[OpenFile]) -> tuple[list[OpenFile], OpenFile | None]:
    """Those held, the log and all that was rotated away from it, each file once; and which of them is the log now."""
    opened = {file.identity: file for file in held}
    current = None
    try:
        for _ in range(5):  # names move on while we look: look again until they have stood still
            before = _listing(path)
            current = _open_listed(path, before, opened)
            if _listing(path) == before:
                break
    except OSError:
        _close_others(list(opened.values()), held)
        raise
    return list(opened.values()), current


def _open_listed(path: Path, listing: set[tuple[str, int]], opened: dict[tuple[int, int], OpenFile]) -> OpenFile | None:
    """Add what the names lead to by now, where it is not there yet; returns what the log's own name leads to."""
    current = None
    for name, _inode in listing:
        try:
            file = OpenFile(path.with_name(name))
        except FileNotFoundError:
            continue  # renamed just now
        except OSError as error:
            if name == path.name or error.errno in _WANTING:
                raise
            continue
        known = opened.setdefault(file.identity, file)
        if known is not file:
            known.met = file.met
            file.close()
        if name == path.name:
            current = known
    return current


def _listing(path: Path) -> set[tuple[str, int]]:
    """The names of the log and of what rotation made of it, each with the inode that it stands for."""
    stem, suffix, name = re.escape(path.stem), re.escape(path.suffix), re.escape(path.name)
    number = r"[.-](?:[0-9][0-9T_.:Z-]*|old)"  # server.log.1, server.log-20261123, server-20261123.log
    wanted = re.compile(rf"{name}(?:{number})?|{stem}{number}{suffix}")
    try:
        with os.scandir(path.parent) as entries:
            return {(entry.name, entry.inode()) for entry in entries if wanted.fullmatch(entry.name)}
    except FileNotFoundError:
        return set()
    except PermissionError:  # a folder that may be passed through, but not listed
        return {(path.name, path.stat().st_ino)}
