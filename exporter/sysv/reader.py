"""All queues, by msgctl where it answers and by /proc/sysvipc/msg where it does not."""

import logging
from pathlib import Path

from exporter.logs import StateLog
from exporter.sysv.msgctl import MsgCtl, Walk, system_msgctl, walk
from exporter.sysv.queues import NO_QUEUES, Queues, parse_proc

_log = logging.getLogger(__name__)


class QueueReader:
    """Reads every queue of this process's IPC namespace, and says once when it cannot read the limits."""

    def __init__(self, procfs: Path, msgctl: MsgCtl | str | None = None) -> None:
        """`msgctl`: the call, or the reason why there is none; the system's own where not given."""
        self._table = procfs / "sysvipc" / "msg"
        self._msgctl = system_msgctl() if msgctl is None else msgctl
        self._notices = StateLog(_log)

    def read(self) -> Queues:
        """Every queue once. Raises OSError or MalformedError where neither source can be read."""
        reading = Walk(NO_QUEUES, self._msgctl) if isinstance(self._msgctl, str) else walk(self._msgctl)
        queues = reading.queues
        if reading.refusal is None:
            self._notices.resolved("msgctl", "the limits of the queues can be read again")
        else:
            everything = parse_proc(self._table.read_text())
            known = set(queues.msqid)
            others = everything.take([place for place, msqid in enumerate(everything.msqid) if msqid not in known])
            if others.msqid:
                self._notices.problem(
                    "msgctl",
                    f"{reading.refusal}; reading {self._table}, which does not tell the queues' limits: "
                    "sysv_msg_queue_limit_bytes is left out",
                )
            queues += others
        return _latest(queues)


def _latest(queues: Queues) -> Queues:
    """A queue that is removed and made again while we read is met twice: what was read last is what is there."""
    private = queues.key.count(0)
    if len(set(queues.key)) + private - (private > 0) == len(queues.key):
        return queues
    place_of = {
        key or ("private", msqid): place
        for place, (key, msqid) in enumerate(zip(queues.key, queues.msqid, strict=True))
    }
    return queues.take(sorted(place_of.values()))
