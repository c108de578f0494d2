"""The collector `trace` against what senders and receivers counted themselves, with the real bpftrace."""

import itertools
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sysv_ipc

from tests.support.kernel import make, set_limit
from tests.support.messages import elsewhere, in_c, in_perl, in_python, with_tracefs
from tests.support.needs import missing, need, need_root, remove_all_queues
from tests.support.program import Samples, running
from tests.support.traced import MARKER, NAMES, NOBODY, Traced, counted, records, until

pytestmark = pytest.mark.xdist_group("bpftrace")


_keys = itertools.count(0x4F560001)  # a key a queue: the exporter lives through all tests of this file


def calls(page: Samples, queue: str) -> float:
    """How many calls the histogram has."""
    return page["sysv_msg_queue_send_wait_seconds_count", frozenset({("queue", queue)})]


def waited(page: Samples, queue: str) -> float:
    return page["sysv_msg_queue_send_wait_seconds_sum", frozenset({("queue", queue)})]


def new_queue() -> tuple[sysv_ipc.MessageQueue, str]:
    """A queue with a key of its own, and its label."""
    key = next(_keys)
    return make(key), f"0x{key:08x}"


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    need_root()
    need("bpftrace")
    remove_all_queues()
    with running("--collector.trace", "--no-collector.waiters", before=with_tracefs()) as program:
        yield Traced(program)
        assert program.stop() == 0
    remove_all_queues()


def test_full_speed(traced: Traced) -> None:
    """120,000 sends by three processes that do not wait, while another one takes: every call is in the counters."""
    queue, label = new_queue()
    set_limit(queue.id, 2000)
    senders = [in_c(queue.id, "nowait", 40_000, 300) for _ in range(3)]
    truth: Counter[str] = Counter()
    while any(sender.process.poll() is None for sender in senders):
        try:
            while True:
                message, _ = queue.receive(block=False)
                truth.update(received=1, received_bytes=len(message))
        except sysv_ipc.BusyError:
            pass
    for sender in senders:
        truth.update(sender.truth())
    page = traced.settle()
    spent = truth.pop("ns") / 1e9
    assert truth["sent"] + truth["EAGAIN"] == 120_000
    assert truth["EAGAIN"] > 0
    assert counted(page, label) == truth
    assert calls(page, label) == 120_000
    assert 0 < waited(page, label) <= spent
    assert page["openvpn_mq_trace_omitted_calls_total", frozenset({("reason", "max_queues")})] == 0


def test_senders_in_python_and_perl(traced: Traced) -> None:
    """Whatever language the script is in."""
    for start in (in_python, in_perl):
        queue, label = new_queue()
        truth = start(queue.key if start is in_python else queue.id, 3000, 100).truth()
        assert truth["EAGAIN"] > 0
        assert counted(traced.settle(), label) == +truth


def test_a_blocked_sender(traced: Traced) -> None:
    """Its wait lies between what the test saw and what its own clock says; stopped and continued, it is one call."""
    queue, label = new_queue()
    set_limit(queue.id, 1)
    sender = in_c(queue.id, "block", 3, 1)  # sizes 0, 1, 0: the second fills the queue by number
    sender.asleep()
    begin = time.monotonic()
    sender.kill(signal.SIGSTOP)
    until(lambda: " T " in Path(f"/proc/{sender.process.pid}/stat").read_text(), "it does not stop")
    sender.kill(signal.SIGCONT)
    sender.asleep()
    time.sleep(0.2)
    seen = time.monotonic() - begin
    queue.receive()
    sender.asleep()
    queue.receive()
    queue.receive()
    truth = sender.truth()
    page = traced.settle()
    spent = truth.pop("ns") / 1e9
    assert counted(page, label) == +truth + Counter(received=3, received_bytes=1)
    assert calls(page, label) == 3
    assert seen <= waited(page, label) <= spent
    # Of three calls one took at least as long as the test saw it asleep, and one did not wait at all.
    bucket = {
        dict(labels)["le"]: value
        for (name, labels), value in page.items()
        if name == "sysv_msg_queue_send_wait_seconds_bucket" and ("queue", label) in labels
    }
    assert bucket["0.1"] in (1, 2)
    assert bucket["+Inf"] == 3


def test_interrupted_senders(traced: Traced) -> None:
    """EINTR where a handler ran, also with SA_RESTART, which msgsnd does not heed; not for one that is killed."""
    queue, label = new_queue()
    set_limit(queue.id, 0)
    truth = in_c(queue.id, "alarm", 7, 20_000).truth()
    assert truth.pop("ns") / 1e9 > 7 * 0.01
    killed = in_c(queue.id, "block", 1, 1).asleep()
    killed.gone()
    page = traced.settle()
    assert truth == Counter(EINTR=7)
    assert counted(page, label) == truth
    assert calls(page, label) == 7


def test_a_queue_that_is_removed(traced: Traced) -> None:
    """EIDRM for who waits, EINVAL for who comes later, under the label that the queue had."""
    queue, label = new_queue()
    set_limit(queue.id, 0)
    sender = in_c(queue.id, "block", 4, 0).asleep()
    queue.remove()
    truth = sender.truth()
    truth.pop("ns")
    assert truth == Counter(EIDRM=1, EINVAL=3)
    assert counted(traced.settle(), label) == truth


def test_calls_that_are_refused(traced: Traced) -> None:
    """Too big a message, no permission, a bad address: by errno, and not in the histogram."""
    queue, label = new_queue()
    truth = in_c(queue.id, "nowait", 3, 0).truth()
    truth.update(in_c(queue.id, "fault", 4).truth())
    truth.update(in_c(queue.id, "nowait", 5, 10, uid=NOBODY).truth())
    truth.update(in_c(queue.id, "nowait", 9000, 9000).truth())
    truth.pop("ns")
    assert (truth["EFAULT"], truth["EACCES"]) == (4, 5)
    assert truth["EINVAL"] > 0
    page = traced.settle()
    assert counted(page, label) == truth
    assert calls(page, label) == truth["sent"] + truth["EAGAIN"]


def test_receivers_by_type(traced: Traced) -> None:
    """A type, a bound on types, a wait; not: a message left where it is, no message, one that is too big to take."""
    queue, label = new_queue()
    waiting = in_c(queue.id, "take", 2, 7).asleep()
    for kind, size in ((3, 10), (7, 20), (5, 30), (7, 40)):
        queue.send(bytes(size), type=kind)
    truth = waiting.truth()
    truth.update(in_c(queue.id, "take", 1, -4).truth())
    assert (truth["received"], truth["received_bytes"]) == (3, 70)
    with pytest.raises(sysv_ipc.BusyError):
        queue.receive(block=False, type=9)
    page = traced.settle()
    assert counted(page, label) == Counter(sent=4, sent_bytes=100, received=3, received_bytes=70)
    queue.receive()


def test_made_again_between_two_readings(traced: Traced) -> None:
    """Three hundred lives of one key in less than a second, and a private queue that nobody ever listed."""
    key = next(_keys)
    for _ in range(300):
        queue = sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX)
        queue.send(b"abc")
        queue.remove()
    private = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
    name = f"private:{private.id}" if private.key == 0 else f"0x{private.key:08x}"
    private.send(b"12")
    private.remove()
    page = traced.settle()
    assert counted(page, f"0x{key:08x}") == Counter(sent=300, sent_bytes=900)
    assert counted(page, name) == Counter(sent=1, sent_bytes=2)
    # Their places are given back, and nothing is lost or counted twice by that.
    for _ in range(4):
        page = traced.settle()
    assert counted(page, f"0x{key:08x}") == Counter(sent=300, sent_bytes=900)
    assert counted(page, name) == Counter(sent=1, sent_bytes=2)


def test_another_ipc_namespace(traced: Traced) -> None:
    """The same msqid elsewhere is another queue."""
    queue, label = new_queue()
    truth = in_c(queue.id, "nowait", 50, 3, before=elsewhere(queue.id)).truth()
    assert truth["sent"] == 50
    here = in_c(queue.id, "nowait", 20, 0).truth()
    page = traced.settle()
    assert counted(page, label) == Counter(sent=here["sent"]) == Counter(sent=20)


def test_an_unused_queue_stands_at_zero(traced: Traced) -> None:
    """All its counters exist before the first event, so that increase() sees it."""
    _, label = new_queue()
    page = traced.program.samples()
    mine = {name: value for (name, labels), value in page.items() if ("queue", label) in labels and "_total" in name}
    assert mine.keys() == {*NAMES, "sysv_msg_queue_send_failures_total"}
    assert set(mine.values()) == {0}


def test_no_records_for_perf(traced: Traced) -> None:
    """Soon after its start, calls on the CPU that bpftrace's perf events are on leave no records that nobody reads."""
    queue, label = new_queue()
    bpftrace = traced.bpftrace()

    def none_are_written() -> bool:
        before = records(bpftrace)
        queue.send(b"x")
        queue.receive()
        return records(bpftrace) == before

    was = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        until(none_are_written, "the records go on")
        assert all(none_are_written() for _ in range(100))
    finally:
        os.sched_setaffinity(0, was)
    assert counted(traced.settle(), label)["sent"] > 100


def test_stopped_while_load_runs(traced: Traced) -> None:
    """SIGSTOP: the kernel counts on, the page says that it is not up to date, and SIGCONT brings it all."""
    queue, label = new_queue()
    load = in_c(queue.id, "nowait", 50_000, 10)
    child = traced.bpftrace()
    os.kill(child, signal.SIGSTOP)
    truth = load.truth()
    truth.pop("ns")

    def success() -> float | None:
        return traced.program.value("openvpn_mq_scrape_collector_success", collector="trace")

    until(lambda: success() == 0, "a silent bpftrace is not noticed")
    assert traced.program.value("sysv_msg_queue_sent_messages_total", queue=f"0x{MARKER:08x}")
    os.kill(child, signal.SIGCONT)
    page = traced.settle()
    assert counted(page, label) == truth
    assert success() == 1
    assert traced.bpftrace() == child


def test_killed_while_load_runs(traced: Traced) -> None:
    """SIGKILL: nothing falls, what is lost lies within one gap, and a new child counts exactly again."""
    queue, label = new_queue()
    known = in_c(queue.id, "nowait", 100, 0).truth()
    before = traced.settle()
    load = in_c(queue.id, "nowait", 50_000, 0)
    child = traced.bpftrace()
    os.kill(child, signal.SIGKILL)
    truth = known + load.truth()
    Traced(traced.program)
    middle = traced.settle()
    assert all(middle[series] >= value for series, value in before.items() if "_total" in series[0])
    assert counted(middle, label) <= truth
    more = in_c(queue.id, "nowait", 1000, 0).truth()
    more.pop("ns")
    assert counted(traced.settle(), label) == counted(middle, label) + more
    assert any(re.search("killed by signal 9", line) for line in traced.program.log)
    assert traced.bpftrace() != child


def test_a_thread_that_changes_its_ipc_namespace(traced: Traced) -> None:
    """What it sent here counts; what it sends there, to the same msqid, does not, and neither what it receives."""
    queue, label = new_queue()
    moved = in_c(queue.id, "move", 3, 4).truth()
    assert moved["sent"] == 3
    assert moved["elsewhere"] == 4
    page = traced.settle()
    assert counted(page, label) == Counter(sent=3, sent_bytes=3)


def test_a_look_at_a_message_is_no_receipt(traced: Traced) -> None:
    """MSG_COPY leaves the message where it is; the same thread has received before."""
    queue, label = new_queue()
    truth = in_c(queue.id, "peek", 5).truth()
    if not truth["peeked"]:
        missing("the kernel has no MSG_COPY (CONFIG_CHECKPOINT_RESTORE)")
    assert counted(traced.settle(), label) == Counter(sent=2, sent_bytes=2, received=1, received_bytes=1)


@pytest.mark.slow
def test_thousands_of_queues_that_come_and_go(traced: Traced) -> None:
    """Three times as many private queues as there are places, over some time: none finds its place taken."""
    before = traced.settle()
    reasons = [frozenset({("reason", reason)}) for reason in ("max_queues", "max_threads")]
    queue, label = new_queue()
    for _ in range(6):
        for _ in range(500):
            private = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
            private.send(b"x")
            private.remove()
        queue.send(b"")
        queue.receive()
        page = traced.settle()  # their places are free again once they have been printed twice
    assert counted(page, label) == Counter(sent=6, received=6)
    for reason in reasons:
        series = ("openvpn_mq_trace_omitted_calls_total", reason)
        assert page[series] == before[series] == 0

    def remembered() -> int:
        return sum(name == "sysv_msg_queue_sent_messages_total" for name, _ in traced.program.samples())

    until(lambda: remembered() <= 1024 + 100, "more queues are remembered than there are places")  # 320 go per second
