"""The collector `waiters` against processes that the test put to sleep."""

import itertools
import logging
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sysv_ipc

from exporter.collectors.context import build_context
from exporter.collectors.waiters import SPEC
from exporter.config.model import Settings
from exporter.sysv import waiterd
from exporter.sysv.sleepers import CapabilitiesError, DeniedError, Sleepers, system_calls
from exporter.sysv.sleepersource import HelperSource, LimitedScan, decode, encode
from tests.support.kernel import make, set_limit
from tests.support.messages import Load, elsewhere, in_c
from tests.support.needs import NOBODY, missing, need, need_nobody, need_root
from tests.support.openvpn import wait_until
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
    need("gcc")
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
            program.stop()  # so that its log has been read to the end
            said = [line for line in program.log if "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" in line]
            assert len(said) == 1, program.log
            assert not re.search("Traceback", "\n".join(program.log))


def test_its_share_of_a_core() -> None:
    """A scan that cost 50 ms is not repeated for five seconds; then it is."""
    make(1)
    moment = 1000.0
    readings = itertools.count()  # of the clock of CPU time, two per scan: 50 ms apart
    calls = system_calls()
    assert calls
    source = LimitedScan(Path("/proc"), calls, clock=lambda: moment, cpu_time=lambda: next(readings) * 0.05)
    scans: list[int] = []
    for moment in (1000.0, 1004.9, 1005.1, 1009.0, 1010.2):  # noqa: B007  # the clock shows it
        source.read()
        scans.append((next(readings) - len(scans)) // 2)
    assert scans == [1, 1, 2, 2, 3]


@contextmanager
def helper(path: Path, *capabilities: str) -> Iterator[None]:
    """Run openvpn-mq-waiters with these capabilities only, on a socket that everybody may connect to."""
    command = [*as_nobody(*capabilities), sys.executable, "-m", "exporter.sysv.waiterd", f"--socket={path}"]
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + 30
        while not path.is_socket():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that nobody may write to and enter, as pytest's own are closed."""
    with TemporaryDirectory(dir="/run") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_the_helper(started: ExitStack, folder: Path) -> None:
    """An exporter without any capability gets the counts from a helper that has the two, also after it restarts."""
    need_nobody()
    full, empty = make(1, b"x"), make(2)
    set_limit(full.id, 0)
    sleeping(started, in_c(full.id, "block", 1, 0))
    for _ in range(2):
        sleeping(started, in_c(empty.id, "take", 1, 0))
    path = folder / "waiters.sock"
    flag = f"--collector.waiters.socket={path}"
    with ExitStack() as life:
        life.enter_context(helper(path, *NEEDED))
        program = started.enter_context(running(flag, before=as_nobody()))
        eventually(program, "0x00000001", (1, 0))
        eventually(program, "0x00000002", (0, 2))
        assert program.value("openvpn_mq_scrape_collector_success", collector="waiters") == 1
    page = program.samples()
    assert waiters(page, "0x00000001") == (None, None)
    assert page["openvpn_mq_scrape_collector_success", frozenset({("collector", "waiters")})] == 0
    wait_until(lambda: any("cannot ask openvpn-mq-waiters" in line for line in program.log), "the log line is there")
    path.unlink()
    with helper(path, *NEEDED):
        eventually(program, "0x00000002", (0, 2))


def test_a_helper_without_the_capabilities_says_so(folder: Path) -> None:
    need_nobody()
    make(1)
    path = folder / "waiters.sock"
    with helper(path), running(f"--collector.waiters.socket={path}", before=as_nobody()) as program:
        assert program.value("openvpn_mq_scrape_collector_success", collector="waiters") == 0
        program.stop()  # so that its log has been read to the end
        (line,) = [line for line in program.log if "openvpn-mq-waiters: threads of other users" in line]
        assert "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" in line


def test_the_helper_only_reads(folder: Path) -> None:
    """It opens nothing for writing and touches no queue, as its system calls show."""
    need("strace")
    need_root()
    make(1, b"x")
    path, trace = folder / "waiters.sock", folder / "trace"
    tracer = ["strace", "-f", "-o", str(trace), "-e", "trace=msgget,msgsnd,msgrcv,msgctl,openat,unlink,rename,kill"]
    process = subprocess.Popen(
        [*tracer, sys.executable, "-m", "exporter.sysv.waiterd", f"--socket={path}"], start_new_session=True
    )
    try:
        while not path.is_socket():
            assert process.poll() is None
            time.sleep(0.05)
        for _ in range(3):
            HelperSource(path).read()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # strace outlives a SIGTERM
        process.wait(10)
    calls = trace.read_text()
    assert "/syscall" in calls
    assert not re.search(r"msg(get|snd|rcv|ctl)\(|O_WRONLY|O_RDWR|O_CREAT|unlink\((?!.*waiters\.sock)", calls)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b"", "not a count"),
        (b"[]", "not a count"),
        (b'{"ipc_namespace": 1}', "IPC namespace 1"),
        (b'{"denied": "odd"}', "odd"),
        (b'{"ipc_namespace": 7, "senders": {"x": 1}, "receivers": {}}', "not a count"),
        (b"\xff", "not a count"),
    ],
)
def test_what_is_no_count(reply: bytes, sentence: str) -> None:
    with pytest.raises(DeniedError, match=sentence):
        decode(reply, 7)


def test_a_count_survives_the_way() -> None:
    sleepers = Sleepers(Counter({3: 2}), Counter({32768: 1}))
    assert decode(encode(sleepers, 7), 7) == sleepers


def test_a_helper_that_hangs_costs_two_seconds(folder: Path) -> None:
    path = folder / "hung"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        start = time.monotonic()
        with pytest.raises(DeniedError, match="does not answer"):
            HelperSource(path).read()
        assert time.monotonic() - start < 10


def test_an_endless_reply_is_no_count(folder: Path) -> None:
    path = folder / "endless"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(b"0" * 65536)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeniedError, match="not a count"):
            HelperSource(path).read()
        thread.join()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (CapabilitiesError("rights are missing"), "rights are missing; or start openvpn-mq-waiters.socket, whose"),
        (DeniedError("/proc is mounted oddly"), "/proc is mounted oddly\n"),
    ],
)
def test_why_it_is_off(
    fault: DeniedError, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The helper is named if it would help."""

    def refused(*_: object) -> Sleepers:
        raise fault

    caplog.set_level(logging.INFO)
    monkeypatch.setattr("exporter.collectors.waiters.scan", refused)
    assert SPEC.build(build_context(Settings())) is None
    assert f"collector waiters is off: {told}" in f"{caplog.messages[-1]}\n"


def test_nothing_to_listen_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert waiterd.main([]) == 2
    assert "openvpn-mq-waiters.socket" in capsys.readouterr().err
    assert waiterd.main([f"--socket={tmp_path}/missing/socket"]) == 1
    assert "cannot listen on" in capsys.readouterr().err
