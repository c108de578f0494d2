"""The queue label: a name that outlives the queue's removal and re-creation."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import sysv_ipc

from exporter.log import Notices

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


def key_texts(keys: Sequence[int]) -> list[str]:
    """Keys as ipcs prints them: 0x and eight hex digits. One % for all, as there may be tens of thousands."""
    return ("0x%08x " * len(keys) % tuple(keys)).split()


class QueueNames:
    """Finds the label of each queue; resolves ftok anew each time, as the file may be made anew."""

    def __init__(self, named: Iterable[NamedQueue]) -> None:
        self._named = tuple(named)
        self._notices = Notices(_log)

    def by_key(self) -> dict[int, str]:
        """Configured names by key, as of now; a file that is not there gives no name, and one warning."""
        names: dict[int, str] = {}
        for name, key in self._named:
            number = self._ftok(name, key) if isinstance(key, Ftok) else key
            if number is None:
                continue
            other = names.setdefault(number, name)
            topic = f"{name} has a key of its own"
            if other == name:
                self._notices.clear(topic, f"queue name {name!r}: has a key of its own again")
            else:
                message = f"queue name {name!r}: its key 0x{number:08x} is that of {other!r}, which keeps it"
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
        return key & 0xFFFFFFFF  # ftok gives a signed key_t


def labels(keys: list[int], msqids: list[int], names: dict[int, str]) -> list[str]:
    """The label of each queue: the configured name, else the key, else private:MSQID."""
    texts = key_texts(keys)
    if names or 0 in keys:
        for place, key in enumerate(keys):
            if key == 0:
                texts[place] = f"private:{msqids[place]}"
            elif key in names:
                texts[place] = names[key]
    return texts
