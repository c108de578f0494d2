"""/proc/sysvipc/msg: any row that the kernel could print is read back; no other text raises anything unforeseen."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.sysv.queues import UNKNOWN_LIMIT, MalformedError, Queue, parse_proc

HEADING = (
    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid "
    "     stime      rtime      ctime\n"
)
# The kernel's own format, ipc/msg.c: sysvipc_msg_proc_show.
FORMAT = "{:10d} {:10d}  {:4o}  {:10d} {:10d} {:5d} {:5d} {:5d} {:5d} {:5d} {:5d} {:10d} {:10d} {:10d}\n"

word = st.integers(0, (1 << 32) - 1)
long = st.integers(0, (1 << 63) - 1)
row = st.builds(
    Queue,
    key=word, msqid=st.integers(0, (1 << 31) - 1), mode=st.integers(0, 0o777), cbytes=long, qnum=long,
    lspid=word, lrpid=word, uid=word, gid=word, cuid=word, stime=long, rtime=long, ctime=long,
    qbytes=st.just(UNKNOWN_LIMIT),
)  # fmt: skip


def printed(queue: Queue) -> str:
    signed = queue.key - (1 << 32) if queue.key >> 31 else queue.key
    identity = (queue.uid, queue.gid, queue.cuid, 77)
    return FORMAT.format(
        signed, queue.msqid, queue.mode, queue.cbytes, queue.qnum, queue.lspid, queue.lrpid, *identity,
        queue.stime, queue.rtime, queue.ctime,
    )  # fmt: skip


@given(st.lists(row, max_size=20))
def test_every_row_comes_back(rows: list[Queue]) -> None:
    assert list(parse_proc(HEADING + "".join(map(printed, rows))).rows()) == rows


@given(st.text())
def test_any_text(text: str) -> None:
    """Read, or refused as malformed."""
    for table in (text, HEADING + text):
        with contextlib.suppress(MalformedError):
            parse_proc(table)


@given(st.lists(row, min_size=1, max_size=5), st.data())
def test_a_torn_table_is_never_other_queues(rows: list[Queue], data: st.DataObject) -> None:
    """Cut anywhere it is refused, or gives a beginning of the same rows but for a last number cut short."""
    table = HEADING + "".join(map(printed, rows))
    cut = data.draw(st.integers(len(HEADING), len(table)))
    with contextlib.suppress(MalformedError):
        found = list(parse_proc(table[:cut]).rows())
        whole = found if table[:cut].endswith("\n") else found[:-1]
        assert whole == rows[: len(whole)]
