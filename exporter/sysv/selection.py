"""Which queues get series of their own where there are more than allowed."""

import heapq
import math
from collections.abc import Set as AbstractSet

from exporter.sysv.rows import QueueRow


def fullest(rows: dict[str, QueueRow], always: AbstractSet[str], most: int) -> dict[str, QueueRow]:
    """At most `most` of `rows`: those named in `always` first (a series that somebody gave a name to must not come
    and go with other queues' fill), then by fill, then by bytes. Equally full ones in the order they came.
    """
    chosen = heapq.nlargest(most, rows.items(), key=lambda item: (item[0] in always, fill(item[1]), item[1].cbytes))
    return dict(chosen)


def fill(row: QueueRow) -> float:
    """How full: the kernel refuses a message when bytes or messages would pass msg_qbytes, whichever comes first.

    Where the limit is not known: bytes or messages, whichever is more.
    """
    used = max(row.cbytes, row.qnum)
    if row.qbytes is None:
        return used
    return used / row.qbytes if row.qbytes else math.inf
