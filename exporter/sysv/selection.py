"""Which queues get series of their own where there are more than allowed."""

import heapq
import math
from collections.abc import Set as AbstractSet

from exporter.sysv.queues import UNKNOWN_LIMIT, Queue, Queues


def fullest(queues: Queues, labels: list[str], always: AbstractSet[str], most: int) -> list[int]:
    """Places of at most `most` of `queues`, in the order of `queues`.

    Those with a label in `always` come first (a series that somebody gave a name to must not come and go with other
    queues' fill), then the fullest, then those with the most bytes.
    """
    ranks = [
        (label in always, fill(queue), queue.cbytes, -place)
        for place, (label, queue) in enumerate(zip(labels, queues.rows(), strict=True))
    ]
    return sorted(-rank[-1] for rank in heapq.nlargest(most, ranks))


def fill(queue: Queue) -> float:
    """How full: the kernel refuses a message when bytes or messages would pass msg_qbytes, whichever comes first.

    Where the limit is not known: bytes or messages, whichever is more.
    """
    used = max(queue.cbytes, queue.qnum)
    if queue.qbytes == UNKNOWN_LIMIT:
        return used
    return used / queue.qbytes if queue.qbytes else math.inf
