"""Regular files, opened without touching a pipe that has taken a file's place, and read as far as is sensible."""

import os
import stat
from errno import EFBIG, EINVAL, ESTALE
from pathlib import Path
from typing import Final

REPLACED: Final = "it was replaced by a new file, of which this service or container sees the old one: restart it"

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MIB: Final = 1 << 20


def open_regular(path: Path) -> int:
    """Return the descriptor of a regular file, opened for reading. Raise OSError, also for a pipe or a device.

    A pipe is not even opened: that would wake up a program that waits for its reader.
    """
    if stat.S_ISREG(os.stat(path).st_mode):
        descriptor = os.open(path, _FLAGS)  # which does not block if it is a pipe since just now
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise OSError(EINVAL, "not a regular file", str(path))


def open_named(path: Path) -> int:
    """Do the same for a file that some name still leads to. Raise OSError.

    A unit's `BindReadOnlyPaths=FILE` and a container's volume hold on to the file that was there when they started,
    whatever has replaced it since.
    """
    for _ in range(2):  # a file may be replaced between its opening and the question, but not twice
        descriptor = open_regular(path)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)
    raise OSError(ESTALE, REPLACED, str(path))


def read_named(path: Path, most: int) -> bytes:
    """Return the content of such a file, if it has no more than `most` bytes. Raise OSError."""
    with open(open_named(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(EFBIG, f"larger than {most // _MIB} MiB; it is not what it should be", str(path))
    return data
