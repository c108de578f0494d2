"""The queue label: a name that outlives the queue's removal and re-creation."""

import logging
from collections.abc import Iterable

import sysv_ipc

from exporter.logs import StateLog
from exporter.sysv.keys import Ftok, NamedQueue, key_texts

_log = logging.getLogger(__name__)


class QueueNames:
    """Finds the label of each queue; resolves ftok anew each time, as the file may be made anew."""

    def __init__(self, named: Iterable[NamedQueue]) -> None:
        self._named = tuple(named)
        self._notices = StateLog(_log)

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
                self._notices.resolved(topic, f"queue name {name!r}: has a key of its own again")
            else:
                message = f"queue name {name!r}: its key 0x{number:08x} is that of {other!r}, which keeps it"
                self._notices.problem(topic, message)
        return names

    def _ftok(self, name: str, source: Ftok) -> int | None:
        try:
            key: int = sysv_ipc.ftok(source.path, source.id, silence_warning=True)
        except OSError as error:
            reason = error.strerror or error
            message = (
                f"queue name {name!r}: ftok of {source.path} fails ({reason}); no queue has this name until it works"
            )
            self._notices.problem(name, message)
            return None
        self._notices.resolved(name, f"queue name {name!r}: ftok of {source.path} works")
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
