"""All queues, by msgctl if it answers and by /proc/sysvipc/msg if it does not."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exporter.logs import StateLog
from exporter.memo import MemoizeLast
from exporter.sysv.msgctl import MsgCtl, Walk, Walker, system_msgctl
from exporter.sysv.queues import NO_QUEUES, Queues, joined, parse_proc

_log = logging.getLogger(__name__)


class QueueReader:
    """Reads every queue of this process's IPC namespace, and logs once when it cannot read the limits."""

    def __init__(self, procfs: Path, msgctl: MsgCtl | str | None = None) -> None:
        """`msgctl`: the call, or the reason why there is none; by default the system's own."""
        self._table = procfs / "sysvipc" / "msg"
        msgctl = system_msgctl() if msgctl is None else msgctl
        self._walk: Callable[[], Walk] = (
            partial(Walk, NO_QUEUES, msgctl) if isinstance(msgctl, str) else Walker(msgctl).walk
        )
        self._latest = MemoizeLast(_latest)
        self._state_log = StateLog(_log)

    def read(self) -> Queues:
        """Return every queue once. Raise OSError or MalformedError if neither source can be read."""
        reading = self._walk()
        queues = reading.queues
        if reading.refusal is None:
            self._state_log.resolved("msgctl", "the limits of the queues can be read again")
        else:
            everything = parse_proc(self._table.read_text())
            known = set(queues.msqid)
            others = everything.select([index for index, msqid in enumerate(everything.msqid) if msqid not in known])
            if others.msqid:
                self._state_log.problem(
                    "msgctl",
                    f"{reading.refusal}; reading {self._table}, which does not tell the queues' limits: "
                    "sysv_msg_queue_limit_bytes is left out",
                )
            queues = joined(queues, others)
        return self._latest(queues)


def _latest(queues: Queues) -> Queues:
    """Leave out all but the last reading of a queue that was removed and made again meanwhile, and so is met twice."""
    private = queues.key.count(0)
    if len(set(queues.key)) + private - (private > 0) == len(queues.key):
        return queues
    index_of = {
        key or ("private", msqid): index
        for index, (key, msqid) in enumerate(zip(queues.key, queues.msqid, strict=True))
    }
    return queues.select(sorted(index_of.values()))
