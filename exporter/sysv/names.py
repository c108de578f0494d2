"""The queue label: a name that outlives the queue's removal and re-creation."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import sysv_ipc

from exporter.log import Notices
from exporter.sysv.rows import QueueRow

_log = logging.getLogger(__name__)

# What this module makes up itself; a configured name of that form could be another queue's.
RESERVED: Final = re.compile(r"0x[0-9a-f]{8}|private:[0-9]+")


class Ftok(NamedTuple):
    """A key as programs derive it with ftok(3): from a file's inode and device and a project id of 1 to 255."""

    path: str
    id: int


class NamedQueue(NamedTuple):
    """A name that the configuration gives to a key; `key` unsigned, as ipcs prints it."""

    name: str
    key: int | Ftok


def unsigned(key: int) -> int:
    """The key as ipcs and programs write it; the kernel's key_t is signed."""
    return key & 0xFFFFFFFF


def key_text(key: int) -> str:
    """The key as ipcs prints it: 0x and eight hex digits."""
    return f"0x{unsigned(key):08x}"


class QueueNames:
    """Finds the label of each queue; resolves ftok anew each time, as the file may be made anew."""

    def __init__(self, named: Iterable[NamedQueue]) -> None:
        self._named = tuple(named)
        self._notices = Notices(_log)

    def by_key(self) -> dict[int, str]:
        """Configured names by signed key, as of now; a file that is not there gives no name, and one warning."""
        names: dict[int, str] = {}
        for name, key in self._named:
            number = self._ftok(name, key) if isinstance(key, Ftok) else key
            if number is None:
                continue
            other = names.setdefault(_signed(number), name)
            topic = f"{name} has a key of its own"
            if other == name:
                self._notices.clear(topic, f"queue name {name!r}: has a key of its own again")
            else:
                message = f"queue name {name!r}: its key {key_text(number)} is that of {other!r}, which keeps it"
                self._notices.raise_(topic, message)
        return names

    def _ftok(self, name: str, source: Ftok) -> int | None:
        try:
            key: int = sysv_ipc.ftok(source.path, source.id, silence_warning=True)
        except OSError as error:
            reason = error.strerror or error
            message = (
                f"queue name {name!r}: ftok of {source.path} fails ({reason}); no queue has this name until it works"
            )
            self._notices.raise_(name, message)
            return None
        self._notices.clear(name, f"queue name {name!r}: ftok of {source.path} works")
        return unsigned(key)


def labels(rows: Sequence[QueueRow], names: dict[int, str]) -> list[str]:
    """The label of each row: the configured name, else the key, else private:MSQID."""
    return [
        (names.get(row.key) or f"0x{row.key & 0xFFFFFFFF:08x}") if row.key else f"private:{row.msqid}" for row in rows
    ]


def _signed(key: int) -> int:
    return (key & 0xFFFFFFFF) - (1 << 32) if key & 0x80000000 else key & 0xFFFFFFFF
