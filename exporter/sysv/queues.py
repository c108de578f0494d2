"""The queues of one moment as columns, whatever they were read from, and the parser of /proc/sysvipc/msg.

Queues are stored by column: with up to 32,000 of them, one list per field is far faster to extract and to render than
one tuple per queue.
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
    """The same fields, each a column over all queues, of one length and in one order; never changed once made."""

    key: Sequence[int]
    msqid: Sequence[int]
    mode: Sequence[int]
    cbytes: Sequence[int]
    qnum: Sequence[int]
    lspid: Sequence[int]
    lrpid: Sequence[int]
    uid: Sequence[int]
    gid: Sequence[int]
    cuid: Sequence[int]
    stime: Sequence[int]
    rtime: Sequence[int]
    ctime: Sequence[int]
    qbytes: Sequence[int]

    def rows(self) -> Iterator[Queue]:
        """Iterate over the queues as rows."""
        return map(Queue._make, zip(*self, strict=True))

    def select(self, indices: Sequence[int]) -> "Queues":
        """Return the queues at these indices, in the order of `indices`."""
        return Queues(*([column[index] for index in indices] for column in self))


NO_QUEUES: Final = Queues(*(() for _ in Queues._fields))


def joined(one: Queues, other: Queues) -> Queues:
    """Concatenate columns."""
    return Queues(*([*left, *right] for left, right in zip(one, other, strict=True)))


def larger(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return the larger of both per queue, for columns of one length."""
    # Comparing takes a fifth of the time of calling max(), which counts for tens of thousands of queues.
    return [left if left > right else right for left, right in zip(one, other, strict=True)]  # noqa: FURB136


class MalformedError(Exception):
    """The kernel's text does not have the known form; the message quotes it."""


def parse_proc(text: str) -> Queues:
    """Parse /proc/sysvipc/msg, in the kernel's order: a heading, then a line of 14 columns per queue.

    Columns by position: key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime.
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
            mode = int(perms, 8)
            times = (stime, rtime, ctime)
            unsigned = int(key) & 0xFFFFFFFF
            rows.append((unsigned, int(msqid), mode, cbytes, qnum, lspid, lrpid, uid, gid, cuid, *times, UNKNOWN_LIMIT))
        except ValueError:
            raise MalformedError(f"/proc/sysvipc/msg has a line of unknown form: {line[:120]!r}") from None
    return Queues(*zip(*rows, strict=True)) if rows else NO_QUEUES
