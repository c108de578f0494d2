"""openvpn-mq-demo: what it does to queues is what it tells, and nothing of it is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sysv_ipc

from exporter.demo.site import Site
from exporter.demo.story import COMMANDS, CYCLE, FIREWALL, FULL, ROUTING, STATUS, USUAL, scripts
from exporter.sysv.queues import Queue
from exporter.sysv.reader import QueueReader
from tests.support.kernel import make
from tests.support.needs import need
from tests.support.openvpn import wait_until
from tests.support.program import samples

pytestmark = pytest.mark.usefixtures("queues")

BIN = Path(sys.executable).parent


def queues() -> dict[int, Queue]:
    return {queue.key: queue for queue in QueueReader(Path("/proc")).read().rows()}


def fill(key: int) -> float:
    queue = queues()[key]
    return queue.cbytes / queue.qbytes


def test_a_cycle() -> None:
    """Routing is full for five minutes, firewall nearly so before it is read, and at the end all is read."""
    with Site(USUAL) as site:
        full, most = set(), 0.0
        for second in range(CYCLE):
            for queue in site.queues:
                queue.send(second)
            if site.queues[1].is_full:
                full.add(second)
            most = max(most, fill(FIREWALL.key))
            for queue in site.queues:
                queue.read(second)
        routing = site.queues[1]
        fitting = 4096 // ROUTING.size
        assert full == set(range(60 + fitting // 5, 360 + 1))
        assert routing.refused == 5 * len(ROUTING.hangs) + 5 - fitting  # the last five before it is read again
        assert most == pytest.approx(240 * FIREWALL.size / 16384)
        wait_until(lambda: not any(queue.qnum for queue in queues().values()), "the queues are read")
    assert queues() == {}


def test_each_queue_has_its_messages() -> None:
    """Twenty and five per second, one in two seconds, and one in ten."""
    sent = [sum(story.sends(second) for second in range(CYCLE)) for story in USUAL]
    assert sent == [20 * CYCLE, 5 * CYCLE, CYCLE // 2, CYCLE // 10]
    runs = [run for second in range(CYCLE) for run in scripts(second)]
    assert len([run for run in runs if run.hook == "client-connect"]) == CYCLE // 5
    assert len([run for run in runs if run.status]) == CYCLE // 30


def test_full_stays_full() -> None:
    routing = FULL[1]
    assert routing.key == ROUTING.key
    assert not any(routing.reads(second) for second in range(2 * CYCLE))
    assert all(story.waits or story.reads(second) for story in FULL if story != routing for second in range(CYCLE))


def test_another_queue_is_left_alone() -> None:
    """One with the key of the third: the two that were made before it are gone again."""
    other = make(FIREWALL.key, b"abc")
    done = subprocess.run([BIN / "openvpn-mq-demo"], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"openvpn-mq-demo: there is a queue with the key 0x{FIREWALL.key:08x} already: another openvpn-mq-demo runs, "
        f"or has been killed; then remove its queue: ipcrm -Q 0x{FIREWALL.key:08x}\n"
    )
    assert {key: queue.cbytes for key, queue in queues().items()} == {FIREWALL.key: 3}
    subprocess.run(done.stderr.partition("queue: ")[2].split(), check=True, timeout=10)
    assert queues() == {}
    with pytest.raises(OSError, match="Invalid argument"):
        other.send(b"")


@contextmanager
def demo(*flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(BIN / "openvpn-mq-demo"), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_it_prints_leads_to_its_queues() -> None:
    """The command that it names shows the full queue, its blocked sender, the waiting daemon, the dropped update."""
    need("curl")
    with demo("--full") as process:
        assert process.stdout
        assert process.stdout.readline() == "4 queues are there until you press Ctrl-C. To see them:\n"
        command = process.stdout.readline().split()
        assert process.stdout.readline()[8:] == " queue routing is full: its daemon does not read\n"
        time.sleep(5)  # for a script that finds the queue full
        with subprocess.Popen(
            [BIN / command[0], *command[1:], "--web.listen-address=127.0.0.1:0", "--no-openvpn.discovery"],
            stderr=subprocess.PIPE, text=True,
        ) as exporter:  # fmt: skip
            assert exporter.stderr
            address = ""
            while not address:
                address = exporter.stderr.readline().partition("msg=listening address=")[2].strip()
            page = samples(
                subprocess.run(
                    ["curl", "-s", f"http://{address}/metrics"], capture_output=True, text=True, check=True, timeout=30
                ).stdout
            )
            exporter.terminate()
        record = Path(command[1].partition("=")[2]).with_name("hooks.jsonl").read_text()

        def value(name: str, queue: str) -> float:
            return page[name, frozenset({("queue", queue)})]

        assert value("sysv_msg_queue_fill_ratio", "routing") > 0.97
        assert value("sysv_msg_queue_limit_bytes", "routing") == 4096
        assert value("sysv_msg_queue_blocked_senders", "routing") == 1
        assert value("sysv_msg_queue_waiting_receivers", "commands") == 1
        assert value("sysv_msg_queue_blocked_senders", "status") == 0
        assert '"hook":"client-connect"' in record
        assert '"update":"full"' in record
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert process.stderr
        assert process.stderr.read() == ""
    assert queues() == {}
    assert not Path(command[1].partition("=")[2]).parent.exists()


def test_a_queue_that_is_removed_ends_it() -> None:
    """With one sentence; the others are removed."""
    with demo() as process:
        assert process.stdout
        process.stdout.readline()
        sysv_ipc.remove_message_queue(queues()[STATUS.key].msqid)
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert process.stderr.read() == (
            "openvpn-mq-demo: another program has removed the queue status; start the demo again\n"
        )
    assert queues() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_its_end_removes_all(number: signal.Signals) -> None:
    with demo() as process:
        assert process.stdout
        process.stdout.readline()
        wait_until(lambda: COMMANDS.key in queues(), "the queues are there")
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
    assert queues() == {}


def test_a_pipe_that_closes_ends_it() -> None:
    """As `openvpn-mq-demo --full | head -1` does, with the first line that it cannot write."""
    reading, writing = os.pipe()
    with subprocess.Popen([BIN / "openvpn-mq-demo", "--full"], stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        assert process.wait(timeout=60) == 0
        assert process.stderr
        assert process.stderr.read() == b""
    assert queues() == {}
