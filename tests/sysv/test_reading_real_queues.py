"""What the reader says of real queues is what the test put into them."""

import ctypes
import os
import pickle
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sysv_ipc

from exporter.sysv.msgctl import MSG_STAT_ANY, Walker, system_msgctl
from exporter.sysv.queues import UNKNOWN_LIMIT, Queue, Queues
from exporter.sysv.reader import QueueReader
from exporter.sysv.sysctl import read_limits
from tests.support.kernel import make, make_many, set_limit
from tests.support.needs import need_root

pytestmark = pytest.mark.usefixtures("queues")

T = TypeVar("T")
PROC = Path("/proc")


def rows(reader: QueueReader | None = None) -> dict[int, Queue]:
    return {queue.msqid: queue for queue in (reader or QueueReader(PROC)).read().rows()}


def only_row() -> Queue:
    (row,) = rows().values()
    return row


def test_no_queues() -> None:
    assert rows() == {}


def test_every_field_of_a_queue() -> None:
    """Bytes, messages, times, pids and identity are those of what the test did."""
    before = int(time.time())
    queue = make(0x4F560001, b"x" * 10, b"y" * 32, b"z", mode=0o640)
    queue.receive()
    after = int(time.time())
    row = only_row()
    assert (row.key, row.msqid, row.mode) == (0x4F560001, queue.id, 0o640)
    assert (row.cbytes, row.qnum, row.qbytes) == (33, 2, read_limits(PROC).msgmnb)
    assert (row.lspid, row.lrpid) == (os.getpid(), os.getpid())
    assert (row.uid, row.gid, row.cuid) == (os.getuid(), os.getgid(), os.getuid())
    assert all(before <= moment <= after for moment in (row.stime, row.rtime, row.ctime))


def test_a_queue_never_used_has_no_times() -> None:
    make(1)
    row = only_row()
    assert (row.stime, row.rtime, row.lspid, row.lrpid) == (0, 0, 0, 0)


def test_empty_messages_fill_a_queue_by_their_number() -> None:
    """A limit of 100 holds 100 empty messages, and not one more."""
    queue = make(1)
    set_limit(queue.id, 100)
    for _ in range(100):
        queue.send(b"", block=False)
    with pytest.raises(sysv_ipc.BusyError):
        queue.send(b"", block=False)
    row = only_row()
    assert (row.cbytes, row.qnum, row.qbytes) == (0, 100, 100)


@pytest.mark.parametrize("limit", [5, 0])
def test_a_limit_below_the_content(limit: int) -> None:
    queue = make(1, b"ten bytes.")
    set_limit(queue.id, limit)
    row = only_row()
    assert (row.cbytes, row.qbytes) == (10, limit)


def test_many_private_queues() -> None:
    """Key 0 repeats; each queue is there."""
    ids = {make(None, b"x" * size).id: size for size in range(1, 6)}
    assert {row.msqid: row.cbytes for row in rows().values()} == ids
    assert {row.key for row in rows().values()} == {0}


def test_a_negative_key_is_unsigned() -> None:
    make(-2)
    assert only_row().key == 0xFFFFFFFE


def test_a_limit_from_msgmnb_stays_with_the_queue() -> None:
    """Raising kernel.msgmnb changes no queue that exists; a new one gets the new limit."""
    need_root()
    old = make(1)
    path = PROC / "sys/kernel/msgmnb"
    was = path.read_text()
    try:
        path.write_text("65536")
        new = make(2)
        assert {row.msqid: row.qbytes for row in rows().values()} == {old.id: int(was), new.id: 65536}
        assert read_limits(PROC).msgmnb == 65536
    finally:
        path.write_text(was)


def test_msgmni_is_read_anew() -> None:
    need_root()
    path = PROC / "sys/kernel/msgmni"
    was = path.read_text()
    try:
        path.write_text("123")
        assert read_limits(PROC).msgmni == 123
    finally:
        path.write_text(was)


def test_thousands_of_queues() -> None:
    """All of them, and with gaps where some were removed."""
    make_many(5000)
    everything = rows()
    assert {row.key for row in everything.values()} == set(range(0x10000, 0x10000 + 5000))
    for msqid in list(everything)[::3]:
        sysv_ipc.remove_message_queue(msqid)
    assert set(rows()) == set(everything) - set(list(everything)[::3])


def test_queues_at_high_indices_only() -> None:
    """What is left after most queues are gone is found, however high its index."""
    make_many(5000)
    ids = list(rows())
    for msqid in ids[:-2]:
        sysv_ipc.remove_message_queue(msqid)
    assert set(rows()) == set(ids[-2:])


def test_a_queue_that_vanishes_during_the_read() -> None:
    """It is left out, and the others are there."""
    # The kernel gives out indices in a circle: the queue that vanishes is the one that is read last.
    *others, last = sorted((make(key).id for key in range(1, 6)), key=lambda msqid: msqid % 32768)
    real = system_msgctl()
    assert not isinstance(real, str)
    there = {last}

    def removing(index: int, command: int, struct: object) -> int:
        if command == MSG_STAT_ANY and there:
            sysv_ipc.remove_message_queue(there.pop())
        return real(index, command, struct)

    reading = Walker(removing).walk()
    assert reading.refusal is None
    assert reading.queues.msqid == others


def test_a_queue_made_anew_during_the_read_is_there_once() -> None:
    """Met twice under one key, at a low index and a high one: the later look is what counts."""
    make(1, b"old")
    make(2)
    later = make(3, b"latest")
    real = system_msgctl()
    assert not isinstance(real, str)

    def as_if_made_anew(index: int, command: int, struct: Any) -> int:
        """Where the kernel puts a new queue is its own choice, so the third one plays the first one's successor."""
        msqid = real(index, command, struct)
        if command == MSG_STAT_ANY and msqid == later.id:
            ctypes.cast(struct, ctypes.POINTER(ctypes.c_uint32))[0] = 1  # the key, first in struct msqid_ds
        return msqid

    found = [(row.key, row.cbytes) for row in QueueReader(PROC, as_if_made_anew).read().rows()]
    assert found == [(2, 0), (1, 6)]


def test_proc_gives_the_same_rows_but_for_the_limit() -> None:
    """With holes, private queues and a negative key among them."""
    for key, messages in ((1, [b"a"]), (-5, [b"b" * 100, b""]), (None, []), (None, [b"c"])):
        make(key, *messages, mode=0o604)
    sysv_ipc.remove_message_queue(make(9).id)
    by_msgctl = rows()
    by_proc = rows(QueueReader(PROC, "no msgctl here"))
    assert len(by_msgctl) == 4
    assert by_proc == {msqid: row._replace(qbytes=UNKNOWN_LIMIT) for msqid, row in by_msgctl.items()}
    assert all(row.qbytes != UNKNOWN_LIMIT for row in by_msgctl.values())


def as_nobody(question: Callable[[], T]) -> T:
    """Ask in a child process without any rights."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writable, pickle.dumps(question()))
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    result: T = pickle.loads(answer)  # noqa: S301  # what the lines above wrote
    return result


def test_an_unprivileged_reader_sees_queues_of_others() -> None:
    """Mode 0600 and an owner of its own do not hide a queue or its limit."""
    need_root()
    queue = make(1, b"secret", mode=0o600)
    set_limit(queue.id, 4096)
    found = as_nobody(lambda: rows()[queue.id])
    assert (found.cbytes, found.qbytes, found.mode) == (6, 4096, 0o600)


def test_ipcs_agrees() -> None:
    """What `ipcs -q` prints for an operator is what is read here."""
    make(0x4F560001, b"x" * 123)
    make(2, b"", b"")
    printed = [line.split() for line in subprocess.check_output(["ipcs", "-q"], text=True).splitlines()]
    by_ipcs = {
        int(words[1]): (words[0], int(words[4]), int(words[5]))
        for words in printed
        if words[:1] and words[0][:2] == "0x"
    }
    assert by_ipcs == {row.msqid: (f"0x{row.key:08x}", row.cbytes, row.qnum) for row in rows().values()}


def test_a_walk_over_unchanged_queues_returns_the_same_object() -> None:
    """And another one for any change: of a message, a queue that is new, one that is gone."""
    first, second = make(1), make(2, b"a")
    msgctl = system_msgctl()
    assert not isinstance(msgctl, str)
    walker = Walker(msgctl)

    def walked() -> tuple[Queues, list[tuple[int, int]]]:
        queues = walker.walk().queues
        return queues, sorted((queue.key, queue.qnum) for queue in queues.rows())

    before, rows_before = walked()
    assert rows_before == [(1, 0), (2, 1)]
    assert walked()[0] is before
    first.send(b"b")
    assert walked()[1] == [(1, 1), (2, 1)]
    third = make(3)
    assert walked()[1] == [(1, 1), (2, 1), (3, 0)]
    sysv_ipc.remove_message_queue(second.id)
    assert walked()[1] == [(1, 1), (3, 0)]
    sysv_ipc.remove_message_queue(third.id)
    assert walked()[1] == [(1, 1)]
    after, _ = walked()
    assert walked()[0] is after


def test_columns_that_have_not_changed_are_the_same_objects() -> None:
    """Send, change the limit, remove, make: only what is touched is new, and what is new is right."""
    queues = [make(number) for number in range(1, 6)]
    msgctl = system_msgctl()
    assert not isinstance(msgctl, str)
    walker = Walker(msgctl)

    last = walker.walk().queues

    def changed() -> set[str]:
        nonlocal last
        before, last = last, walker.walk().queues
        assert last == Walker(msgctl).walk().queues
        return {name for name in Queues._fields if getattr(last, name) is not getattr(before, name)}

    assert changed() == set()
    queues[1].send(b"abc")
    assert changed() == {"cbytes", "qnum", "lspid", "stime"}
    assert last.cbytes == [0, 3, 0, 0, 0]
    time.sleep(max(0.0, max(last.ctime) + 1.1 - time.time()))  # the kernel's seconds begin a tick later than ours
    set_limit(queues[2].id, 100)
    assert changed() == {"qbytes", "ctime"}
    queues[0].remove()
    assert changed() == set(Queues._fields)
    assert last.cbytes == [3, 0, 0, 0]
    assert changed() == set()
