"""What happens on the queues of the made-up site, second by second. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

CYCLE: Final = 600  # seconds, after which the story begins again
_KEYS: Final = 0x6D710000  # "mq"


class QueueStory(NamedTuple):
    """One queue: what its senders send, and when its daemon does not read."""

    name: str
    key: int
    size: int  # bytes per message
    every: float  # seconds between two messages
    limit: int | None = None  # bytes; None: what kernel.msgmnb gives it
    hangs: range = range(0)  # seconds of the cycle in which its daemon does not read
    waits: bool = False  # whether its daemon sleeps in msgrcv until there is a message

    def sends(self, second: int) -> int:
        """Return how many messages are sent in this second of the demo."""
        return int((second + 1) / self.every) - int(second / self.every)

    def reads(self, second: int) -> bool:
        """Return whether its daemon looks in this second of the demo, and takes everything that is there."""
        return not self.waits and second % CYCLE not in self.hangs


STATUS: Final = QueueStory("status", _KEYS + 1, 100, 1 / 20)
ROUTING: Final = QueueStory("routing", _KEYS + 2, 100, 1 / 5, 4096, range(60, 360))
FIREWALL: Final = QueueStory("firewall", _KEYS + 3, 64, 2, hangs=range(480))
COMMANDS: Final = QueueStory("commands", _KEYS + 4, 32, 10, waits=True)

USUAL: Final = (STATUS, ROUTING, FIREWALL, COMMANDS)
# One incident, so that one page comes of it.
FULL: Final = (STATUS, ROUTING._replace(hangs=range(CYCLE)), FIREWALL._replace(hangs=range(0)), COMMANDS)


class ScriptStory(NamedTuple):
    """One run of a script."""

    hook: str
    status: int  # its exit status


def scripts(second: int) -> Sequence[ScriptStory]:
    """Return the scripts that OpenVPN would start in this second: clients come and go, and each sixth is refused."""
    if second % 5:
        return ()
    connects = ScriptStory("client-connect", int(second // 5 % 6 == 5))
    return (connects,) if second % 15 else (connects, ScriptStory("client-disconnect", 0))
