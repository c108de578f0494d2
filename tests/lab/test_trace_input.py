"""The privileged half on its own, as deploy/openvpn-mq-trace.service runs it; and what is said where it cannot run."""

import errno
import itertools
import os
import re
import shlex
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sysv_ipc

from tests.support.kernel import make
from tests.support.messages import in_c, send_errno, with_tracefs
from tests.support.needs import need, need_root
from tests.support.program import Program, running
from tests.support.traced import NOBODY, Traced, counted, records, until

UNIT = Path(__file__).parents[2] / "deploy" / "openvpn-mq-trace.service"
PROGRAM = Path(__file__).parents[2] / "exporter" / "trace" / "queues.bt"
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all")

pytestmark = [pytest.mark.usefixtures("queues"), pytest.mark.xdist_group("bpftrace")]


def commands(folder: Path, bound: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The commands and the environment of the unit, with its paths in `folder`."""
    text = UNIT.read_text().replace("=1024", f"={bound}")
    text = text.replace("/run/openvpn-mq-trace", str(folder))
    text = text.replace("/usr/share/openvpn-mq-exporter", str(PROGRAM.parent))
    found = dict(re.findall(r"^(ExecStart(?:Pre|Post)?|Environment|CapabilityBoundingSet)=(.*)$", text, re.MULTILINE))
    environment = dict(pair.split("=") for pair in found["Environment"].split())
    shell = {name: shlex.split(found[name].removeprefix("-")) for name in found if "Exec" in name}
    bounds = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in found["CapabilityBoundingSet"].split())
    rights = ["setpriv", f"--bounding-set=-all,{bounds}", "--no-new-privs"]
    for name in ("ExecStart", "ExecStartPost"):
        shell[name][:0] = rights
    return shell, environment


@contextmanager
def service(folder: Path, bound: int = 1024) -> Iterator[subprocess.Popen[bytes]]:
    """The unit's commands, with no more rights than it grants."""
    need_root()
    need("bpftrace")
    folder.chmod(0o755)
    shell, environment = commands(folder, bound)
    subprocess.run(shell["ExecStartPre"], check=True, group=NOBODY)
    command = [*with_tracefs(), *shell["ExecStart"]]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nobody may enter."""
    folder = tmp_path_factory.mktemp("run")
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    return folder


def test_the_exporter_needs_no_rights(folder: Path) -> None:
    """With the pipe as its only source it counts exactly, also when its lines are garbled and mixed while load runs."""
    queue = make(1)
    pipe = folder / "queues"
    flags = ("--collector.trace", f"--trace.input={pipe}", "--no-collector.waiters")
    with service(folder), running(*flags, before=AS_NOBODY) as program:
        traced = Traced(program)
        load = in_c(queue.id, "nowait", 100_000, 20)
        stop = threading.Event()
        spoiler = threading.Thread(target=_spoil, args=(pipe, stop))
        spoiler.start()
        truth = load.truth()
        until(lambda: (program.value("openvpn_mq_trace_garbled_lines_total") or 0) > 20, "nothing is garbled")
        stop.set()
        spoiler.join()
        truth.pop("ns")
        assert counted(traced.settle(), "0x00000001") == truth
        assert program.value("openvpn_mq_scrape_collector_success", collector="trace") == 1


def test_no_records_for_perf(folder: Path) -> None:
    """Calls on CPU 0 leave no records any more once ExecStartPost has run, and are counted as before."""
    queue = make(1)
    flags = ("--collector.trace", f"--trace.input={folder / 'queues'}", "--no-collector.waiters")
    with service(folder) as bpftrace, running(*flags, before=AS_NOBODY) as program:
        traced = Traced(program)
        assert _records(bpftrace.pid, queue) >= 2 * 1000  # msgsnd and msgrcv, each with a beginning and an end
        after = [word.replace("$MAINPID", str(bpftrace.pid)) for word in commands(folder, 1)[0]["ExecStartPost"]]
        subprocess.run(after, check=True)
        assert _records(bpftrace.pid, queue) == 0
        assert counted(traced.settle(), "0x00000001")["sent"] == 2 * 1000


def _records(pid: int, queue: sysv_ipc.MessageQueue) -> int:
    """How many records the events of bpftrace's tracepoints get from 1,000 messages that are sent on CPU 0."""
    before = records(pid)
    was = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        for _ in range(1000):
            queue.send(b"x")
            queue.receive()
    finally:
        os.sched_setaffinity(0, was)
    return records(pid) - before


def _says(program: Program, words: str) -> bool:
    """Whether a scrape makes it say so in its log."""
    program.page()
    return any(words in line for line in program.log)


def _spoil(pipe: Path, stop: threading.Event) -> None:
    """Broken lines, half lines, bytes that are no text, in between those of bpftrace."""
    rubbish = (b'{"type": "map", "data": {"@sent": {"0": 9', b"\n\xff\xfe\n", b'"}}\n', b"[[[[\n", b"\n\n\n", b"{}\n")
    with pipe.open("wb", buffering=0) as file:
        while not stop.wait(0.02):
            for piece in rubbish:
                file.write(piece)


def test_exporter_and_service_come_and_go(folder: Path) -> None:
    """An exporter that starts later has all counts since the service began; a service that is restarted goes on."""
    queue = make(1)
    flags = ("--collector.trace", f"--trace.input={folder / 'queues'}", "--no-collector.waiters")
    with running(*flags) as program:
        until(lambda: _says(program, "is openvpn-mq-trace.service running?"), "it says nothing")
        with service(folder):
            Traced(program)
            program.stop()
            truth = in_c(queue.id, "nowait", 1000, 1).truth()
            # With nobody to read, the pipe fills up; bpftrace waits, and the kernel counts on.
            truth += in_c(queue.id, "nowait", 500, 1).truth()
            truth.pop("ns")
            with running(*flags) as successor:
                traced = Traced(successor)
                assert counted(traced.settle(), "0x00000001") == truth
                first = successor.value("openvpn_mq_trace_runs_total")
        # Ended with the service; a new one makes no new pipe.
    with service(folder), running(*flags) as program:
        Traced(program)
        assert (first, program.value("openvpn_mq_trace_runs_total")) == (1, 1)


def test_restarted_service(folder: Path) -> None:
    """One exporter, two runs of the service: the counts add up."""
    queue = make(1)
    flags = ("--collector.trace", f"--trace.input={folder / 'queues'}", "--no-collector.waiters")
    with running(*flags) as program:
        truth: Counter[str] = Counter()
        for _ in range(2):
            with service(folder):
                traced = Traced(program)
                truth += in_c(queue.id, "nowait", 300, 1).truth()
                page = traced.settle()
        truth.pop("ns")
        assert counted(page, "0x00000001") == truth
        assert page["openvpn_mq_trace_runs_total", frozenset()] == 2


def test_more_queues_than_places(folder: Path) -> None:
    """64 places, 200 queues and 3,000 numbers that are no queue: bounded, what fits is exact, the rest is said."""
    with (
        service(folder, bound=64),
        running(
            "--collector.trace", f"--trace.input={folder / 'queues'}", "--trace.max-queues=64", "--no-collector.waiters"
        ) as program,
    ):
        traced = Traced(program)
        queues = [make(key) for key in range(1, 201)]
        for queue in queues:
            queue.send(b"x")
        for msqid in range(1_000_000, 1_003_000):
            assert send_errno(msqid) == errno.EINVAL
        page = traced.settle()
        names = {dict(labels)["queue"] for name, labels in page if name == "sysv_msg_queue_sent_messages_total"}
        assert len(names) <= 64 + 1
        total = sum(value for (name, _), value in page.items() if name == "sysv_msg_queue_sent_messages_total")
        marked = page["sysv_msg_queue_sent_messages_total", frozenset({("queue", "0x7fff0001")})]
        omitted = page["openvpn_mq_trace_omitted_calls_total", frozenset({("reason", "max_queues")})]
        assert total - marked == 63  # one place is the marker's
        assert omitted == (200 - 63) + (3000 - 64)
        # Places of removed queues are free again for new ones.
        for queue in queues:
            queue.remove()
        keys = itertools.count(10_000)

        def finds_a_place() -> bool:
            key = next(keys)
            make(key, b"x").remove()
            return counted(traced.settle(), f"0x{key:08x}") == Counter(sent=1, sent_bytes=1)

        until(finds_a_place, "no place becomes free")


def refused(*before: str, env: dict[str, str] | None = None) -> str:
    """What the exporter says of a trace that cannot run: one line, with all else served."""
    make(1, b"x")
    with running("--collector.trace", "--no-collector.waiters", before=before, env=env) as program:
        success = {"name": "openvpn_mq_scrape_collector_success", "collector": "trace"}
        until(lambda: program.value(**success) == 0, f"it does not fail: {program.log}")
        assert [program.value("sysv_msg_queue_messages", queue="0x00000001") for _ in range(3)] == [1, 1, 1]
        assert not [name for name, _ in program.samples() if name.startswith("sysv_msg_queue_sent")]
        said = [line for line in program.log if "collector=trace" in line]
        assert len(said) == 1
        assert "Traceback" not in "\n".join(program.log)
        assert program.stop() == 0
    return said[0]


def test_without_bpftrace(tmp_path: Path) -> None:
    assert "bpftrace is not installed" in refused(env={"PATH": str(tmp_path)})


def test_without_root() -> None:
    need_root()
    need("bpftrace")
    assert "bpftrace must be run by root" in refused(*AS_NOBODY)


def test_without_tracefs() -> None:
    """Hidden by an empty file system where it would be."""
    need_root()
    need("bpftrace")
    hide = "for place in /sys/kernel/tracing /sys/kernel/debug; do mount -t tmpfs none $place; done"
    assert "mount tracefs" in refused("unshare", "--mount", "sh", "-c", f'{hide}; exec "$@"', "sh")


def test_without_capabilities() -> None:
    """Root in name only."""
    need_root()
    need("bpftrace")
    said = refused(*with_tracefs(), "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert "it needs CAP_SYS_ADMIN" in said


def test_another_namespace(folder: Path) -> None:
    """A trace of other queues than those that the exporter sees is refused, not mixed up."""
    with (
        service(folder),
        running("--collector.trace", f"--trace.input={folder / 'queues'}", before=["unshare", "--ipc"]) as program,
    ):
        until(lambda: _says(program, "counts IPC namespace"), "not noticed")
        assert not [name for name, _ in program.samples() if name.startswith("sysv_msg_queue_sent")]
