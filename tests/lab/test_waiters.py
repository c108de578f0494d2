"""The collector `waiters` against processes that the test put to sleep."""

import itertools
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sysv_ipc

from exporter.collectors.context import build_context
from exporter.collectors.snapshot import QueueSettings, SnapshotReader
from exporter.collectors.waiters import WaitersCollector
from exporter.config.model import Settings
from exporter.sysv.sleepers import system_calls
from tests.support.kernel import make, set_limit
from tests.support.messages import Load, elsewhere, in_c
from tests.support.needs import NOBODY, missing, need_nobody, need_root
from tests.support.program import Program, Samples, running

pytestmark = pytest.mark.usefixtures("queues")

THREADS = """
import sys, threading, sysv_ipc
queue = sysv_ipc.MessageQueue(int(sys.argv[1]))
threads = [threading.Thread(target=queue.receive, kwargs={"type": 5}, daemon=True) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
sys.stdin.read()
"""


@pytest.fixture
def program(queues: None) -> Iterator[Program]:  # noqa: ARG001  # the namespace comes first
    need_root()
    with running() as program:
        yield program
        assert program.stop() == 0


@pytest.fixture
def started() -> Iterator[ExitStack]:
    """Ends what the test started."""
    with ExitStack() as stack:
        yield stack


def sleeping(stack: ExitStack, load: Load) -> Load:
    stack.callback(load.gone)
    return load.asleep()


def waiters(page: Samples, queue: str) -> tuple[float | None, float | None]:
    """Blocked senders and waiting receivers."""
    labels = frozenset({("queue", queue)})
    return (
        page.get(("sysv_msg_queue_blocked_senders", labels)),
        page.get(("sysv_msg_queue_waiting_receivers", labels)),
    )


def eventually(program: Program, queue: str, expected: tuple[float, float]) -> None:
    """Scans are not made at every scrape: the next one is soon."""
    deadline = time.monotonic() + 60
    while (found := waiters(program.samples(), queue)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_sleepers(program: Program, started: ExitStack) -> None:
    """Two senders and three receivers, each on a queue of its own; none on the third; none once they go on."""
    full, empty, _ = make(1), make(2), make(3)
    set_limit(full.id, 0)
    for _ in range(2):
        sleeping(started, in_c(full.id, "block", 1, 0))
    receivers = [sleeping(started, in_c(empty.id, "take", 1, 0)) for _ in range(3)]
    eventually(program, "0x00000001", (2, 0))
    eventually(program, "0x00000002", (0, 3))
    assert waiters(program.samples(), "0x00000003") == (0, 0)
    for _ in receivers:
        empty.send(b"go on")
    eventually(program, "0x00000002", (0, 0))
    assert waiters(program.samples(), "0x00000001") == (2, 0)


def test_threads(program: Program, started: ExitStack) -> None:
    """Each thread counts, beside messages of another type than it waits for."""
    make(1, b"of type 1")
    process = started.enter_context(subprocess.Popen([sys.executable, "-c", THREADS, "1", "7"], stdin=subprocess.PIPE))
    started.callback(process.kill)
    eventually(program, "0x00000001", (0, 7))


def test_another_ipc_namespace(program: Program, started: ExitStack) -> None:
    """Asleep on the same msqid, but elsewhere: not here."""
    here = sysv_ipc.MessageQueue(1, sysv_ipc.IPC_CREX)
    for _ in range(2):
        sleeping(started, in_c(here.id, "take", 1, 0, before=elsewhere(here.id)))
    sleeping(started, in_c(here.id, "take", 1, 0))
    eventually(program, "0x00000001", (0, 1))
    time.sleep(0.5)
    assert waiters(program.samples(), "0x00000001") == (0, 1)


def test_a_32_bit_program(program: Program, started: ExitStack) -> None:
    """ipc(2) of i386, by way of int 0x80."""
    if platform.machine() != "x86_64":
        missing("only x86-64 has 32-bit programs that can be tried")
    full = make(1)
    set_limit(full.id, 0)
    sleeping(started, in_c(full.id, "i386", 1, 0))
    eventually(program, "0x00000001", (1, 0))


def test_stopped_is_not_asleep_in_the_call(program: Program, started: ExitStack) -> None:
    """A stopped process has left msgrcv, and comes back to it when it goes on."""
    make(1)
    load = sleeping(started, in_c(make(2).id, "take", 1, 0))
    eventually(program, "0x00000002", (0, 1))
    load.kill(signal.SIGSTOP)
    eventually(program, "0x00000002", (0, 0))
    load.kill(signal.SIGCONT)
    eventually(program, "0x00000002", (0, 1))


def test_last_sender_and_receiver(program: Program, started: ExitStack) -> None:
    """1 while the process is there, 0 once it is gone; nothing before anybody has sent."""
    queue = make(1)
    names = ("sysv_msg_queue_last_sender_running", "sysv_msg_queue_last_receiver_running")
    assert [program.value(name, queue="0x00000001") for name in names] == [None, None]
    set_limit(queue.id, 1)
    sender = sleeping(started, in_c(queue.id, "block", 2, 0))  # one is through, one waits
    in_c(queue.id, "take", 1, 0).truth()
    assert sender.truth()["sent"] == 2  # it is through, and gone
    assert [program.value(name, queue="0x00000001") for name in names] == [0, 0]
    queue.receive()
    queue.send(b"")
    assert [program.value(name, queue="0x00000001") for name in names] == [1, 1]


NEEDED = ("sys_ptrace", "dac_read_search")


def as_nobody(*capabilities: str) -> list[str]:
    """Return what runs a command as a user other than root that has exactly these capabilities."""
    sets = ",".join(["-all", *(f"+{capability}" for capability in capabilities)])
    return [
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *(f"--inh-caps={sets}", f"--ambient-caps={sets}", f"--bounding-set={sets}"),
    ]


def test_with_the_two_capabilities(started: ExitStack) -> None:
    """A user other than root needs both, and no more."""
    need_nobody()
    full = make(1, b"x")
    set_limit(full.id, 0)
    sleeping(started, in_c(full.id, "block", 1, 0))
    with running(before=as_nobody(*NEEDED)) as program:
        eventually(program, "0x00000001", (1, 0))
        assert program.value("openvpn_mq_scrape_collector_success", collector="waiters") == 1


@pytest.mark.parametrize("capabilities", [(), NEEDED[:1], NEEDED[1:]], ids=lambda names: "+".join(names) or "none")
def test_without_both_capabilities(started: ExitStack, capabilities: tuple[str, ...]) -> None:
    """Off, with one line that says why; asked for by its flag, it fails, and all else is served."""
    need_nobody()
    full = make(1, b"x")
    set_limit(full.id, 0)
    sleeping(started, in_c(full.id, "block", 1, 0))
    for flags in ([], ["--collector.waiters"]):
        with running(*flags, before=as_nobody(*capabilities)) as program:
            page = [program.samples() for _ in range(3)][-1]
            assert waiters(page, "0x00000001") == (None, None)
            assert page["sysv_msg_queue_messages", frozenset({("queue", "0x00000001")})] == 1
            success = page.get(("openvpn_mq_scrape_collector_success", frozenset({("collector", "waiters")})))
            assert success == (0 if flags else None)
            sender = page.get(("sysv_msg_queue_last_sender_running", frozenset({("queue", "0x00000001")})))
            assert sender == (1 if flags else None)
            said = [line for line in program.log if "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" in line]
            assert len(said) == 1
            assert not re.search("Traceback", "\n".join(program.log))


def test_its_share_of_a_core() -> None:
    """A scan that cost 50 ms is not repeated for five seconds; then it is."""
    make(1)
    moment = 1000.0
    readings = itertools.count()  # of the clock of CPU time, two a scan: 50 ms apart
    context = build_context(Settings())
    snapshots = SnapshotReader(context.reader, context.names, QueueSettings())
    collector = WaitersCollector(
        *(Path("/proc"), system_calls()),
        clock=lambda: moment,
        cpu_time=lambda: next(readings) * 0.05,
    )
    scans: list[int] = []
    for moment in (1000.0, 1004.9, 1005.1, 1009.0, 1010.2):  # noqa: B007  # the clock shows it
        list(collector.collect(snapshots.scrape()))
        scans.append((next(readings) - len(scans)) // 2)
    assert scans == [1, 1, 2, 2, 3]
