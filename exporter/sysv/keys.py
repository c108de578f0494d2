"""What identifies a queue: its key, as a number or as ftok derives it, and the name that the site gives it."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

OTHERS: Final = "other"  # the label of the queues for which there are no labels left

# The labels of queues without a configured name, which a configured one could be mistaken for.
RESERVED: Final = re.compile(rf"0x[0-9a-f]{{8}}|private:[0-9]+|{OTHERS}")


class Ftok(NamedTuple):
    """A key as programs derive it with ftok(3): from a file's inode and device and a project id of 1 to 255."""

    path: str
    id: int


class NamedQueue(NamedTuple):
    """A name that the configuration gives to a key; `key` unsigned, as ipcs prints it."""

    name: str
    key: int | Ftok


def key_texts(keys: Sequence[int]) -> tuple[str, ...]:
    """Format keys as ipcs prints them: 0x and eight hex digits. One % for all, as there may be tens of thousands."""
    return tuple(("0x%08x " * len(keys) % tuple(keys)).split())
