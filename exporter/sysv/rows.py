"""The one row type for a queue, whatever it was read from, and the parser of /proc/sysvipc/msg."""

from typing import NamedTuple


class QueueRow(NamedTuple):
    """One queue, fields named as in struct msqid_ds; sizes in bytes, times in Unix seconds, 0 = never."""

    key: int  # signed, as key_t is; 0 = IPC_PRIVATE, which many queues share
    msqid: int
    mode: int  # permission bits
    cbytes: int
    qnum: int
    lspid: int  # as seen from the reader's pid namespace, 0 if not visible there
    lrpid: int
    uid: int
    gid: int
    cuid: int
    stime: int
    rtime: int
    ctime: int
    qbytes: int | None  # None: not known, /proc does not tell


class MalformedError(Exception):
    """What the kernel gave has not the form that is known; the message quotes it."""


def parse_proc(text: str) -> list[QueueRow]:
    """Rows of /proc/sysvipc/msg, in the kernel's order.

    Columns are found by their place: key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime.
    Raises MalformedError on a heading or a line of another form.
    """
    heading, _, body = text.partition("\n")
    if heading.split()[:5] != ["key", "msqid", "perms", "cbytes", "qnum"]:
        raise MalformedError(f"/proc/sysvipc/msg starts with {heading[:80]!r}, not with its known heading")
    rows = []
    for line in body.splitlines():
        try:
            key, msqid, perms, *numbers = line.split()
            cbytes, qnum, lspid, lrpid, uid, gid, cuid, _, stime, rtime, ctime = map(int, numbers)
            mode = int(perms, 8) & 0o777
            rows.append(
                QueueRow(
                    int(key), int(msqid), mode, cbytes, qnum, lspid, lrpid, uid, gid, cuid, stime, rtime, ctime, None
                )
            )
        except ValueError:
            raise MalformedError(f"/proc/sysvipc/msg has a line of unknown form: {line[:120]!r}") from None
    return rows
