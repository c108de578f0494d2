"""The queues of one moment as columns, whatever they were read from, and the parser of /proc/sysvipc/msg.

Columns, because the kernel allows 32,000 queues: a list a field is cut out of the kernel's structs, and rendered,
many times faster than a tuple a queue.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

UNKNOWN_LIMIT: Final = -1


class Queue(NamedTuple):
    """One queue, fields named as in struct msqid_ds; sizes in bytes, times in Unix seconds, 0 = never."""

    key: int  # unsigned, as ipcs prints it; 0 = IPC_PRIVATE, which many queues share
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
    qbytes: int  # UNKNOWN_LIMIT where it was read from /proc, which does not tell


class Queues(NamedTuple):
    """The same fields, each a list over all queues, all of one length and one order."""

    key: list[int]
    msqid: list[int]
    mode: list[int]
    cbytes: list[int]
    qnum: list[int]
    lspid: list[int]
    lrpid: list[int]
    uid: list[int]
    gid: list[int]
    cuid: list[int]
    stime: list[int]
    rtime: list[int]
    ctime: list[int]
    qbytes: list[int]

    def rows(self) -> Iterator[Queue]:
        """One queue after the other."""
        return map(Queue._make, zip(*self, strict=True))

    def take(self, places: Sequence[int]) -> "Queues":
        """The queues at these places, in the order of `places`."""
        return Queues(*([column[place] for place in places] for column in self))

    def __add__(self, other: object) -> "Queues":
        """These queues, then those."""
        if not isinstance(other, Queues):
            return NotImplemented
        return Queues(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NO_QUEUES: Final = Queues(*([] for _ in Queues._fields))


class MalformedError(Exception):
    """What the kernel gave has not the form that is known; the message quotes it."""


def parse_proc(text: str) -> Queues:
    """/proc/sysvipc/msg, in the kernel's order: a heading, then a line of 14 columns for each queue.

    Columns are known by their place: key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime.
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
            times = (stime, rtime, ctime)
            unsigned = int(key) & 0xFFFFFFFF
            rows.append((unsigned, int(msqid), mode, cbytes, qnum, lspid, lrpid, uid, gid, cuid, *times, UNKNOWN_LIMIT))
        except ValueError:
            raise MalformedError(f"/proc/sysvipc/msg has a line of unknown form: {line[:120]!r}") from None
    return Queues(*map(list, zip(*rows, strict=True))) if rows else NO_QUEUES
