"""The queue label: a name that outlives the queue's removal and re-creation."""

import logging
from collections.abc import Iterable, Sequence

import sysv_ipc

from exporter.logs import StateLog
from exporter.sysv.keys import Ftok, NamedQueue, key_texts

_log = logging.getLogger(__name__)


class QueueNames:
    """Finds the configured name of each key; resolves ftok anew each time, as the file may be replaced."""

    def __init__(self, named: Iterable[NamedQueue]) -> None:
        self._named = tuple(named)
        self._state_log = StateLog(_log)

    def rename(self, named: Iterable[NamedQueue]) -> None:
        """Use these names from the next reading on."""
        self._named = tuple(named)

    def by_key(self) -> dict[int, str]:
        """Return the configured names by key, as of now; a file that is missing gives no name, and one warning."""
        names: dict[int, str] = {}
        for name, key in self._named:
            number = self._ftok(name, key) if isinstance(key, Ftok) else key
            if number is None:
                continue
            other = names.setdefault(number, name)
            topic = f"{name} has a key of its own"
            if other == name:
                self._state_log.resolved(topic, f"queue name {name!r}: has a key of its own again")
            else:
                message = f"queue name {name!r}: its key 0x{number:08x} is that of {other!r}, which keeps it"
                self._state_log.problem(topic, message)
        return names

    def _ftok(self, name: str, source: Ftok) -> int | None:
        try:
            key: int = sysv_ipc.ftok(source.path, source.id, silence_warning=True)
        except OSError as error:
            reason = error.strerror or error
            message = (
                f"queue name {name!r}: ftok of {source.path} fails ({reason}); no queue has this name until it works"
            )
            self._state_log.problem(name, message)
            return None
        self._state_log.resolved(name, f"queue name {name!r}: ftok of {source.path} works")
        return key & 0xFFFFFFFF  # ftok gives a signed key_t


def labels(keys: Sequence[int], msqids: Sequence[int], names: dict[int, str]) -> tuple[str, ...]:
    """Return the label of each queue: the configured name, else the key, else private:MSQID."""
    texts = list(key_texts(keys))
    if names or 0 in keys:
        for index, key in enumerate(keys):
            if key == 0:
                texts[index] = f"private:{msqids[index]}"
            elif key in names:
                texts[index] = names[key]
    return tuple(texts)
