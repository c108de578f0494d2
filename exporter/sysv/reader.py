"""All queues, by msgctl where it answers and by /proc/sysvipc/msg where it does not."""

import logging
from pathlib import Path

from exporter.log import Notices
from exporter.sysv.msgctl import MsgCtl, Walk, system_msgctl, walk
from exporter.sysv.rows import QueueRow, parse_proc

_log = logging.getLogger(__name__)


class QueueReader:
    """Reads every queue of this process's IPC namespace, and says once when it cannot read the limits."""

    def __init__(self, procfs: Path, msgctl: MsgCtl | str | None = None) -> None:
        """`msgctl`: the call, or the reason why there is none; the system's own where not given."""
        self._table = procfs / "sysvipc" / "msg"
        self._msgctl = system_msgctl() if msgctl is None else msgctl
        self._notices = Notices(_log)

    def read(self) -> list[QueueRow]:
        """One row a queue. Raises OSError or MalformedError where neither source can be read."""
        reading = Walk([], self._msgctl) if isinstance(self._msgctl, str) else walk(self._msgctl)
        if reading.refusal is None:
            self._notices.clear("msgctl", "the limits of the queues can be read again")
            return reading.rows
        rows = {row.msqid: row for row in parse_proc(self._table.read_text())}
        rows.update((row.msqid, row) for row in reading.rows)
        if len(rows) > len(reading.rows):
            self._notices.raise_(
                "msgctl",
                f"{reading.refusal}; reading {self._table}, which does not tell the queues' limits: "
                "sysv_msg_queue_limit_bytes is left out",
            )
        return list(rows.values())
