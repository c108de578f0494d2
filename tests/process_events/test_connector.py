"""The kernel's own reports, of children that the test makes."""

import errno
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.process_events.connector import Connector, UnavailableError
from exporter.process_events.messages import Exit, Fork, Message
from tests.support.needs import missing, need, need_root

# A storm of processes, which one of them makes on purpose, would cost the others events.
pytestmark = pytest.mark.xdist_group("process_events")

FORKS = """
import os
os.read(0, 1)
for _ in range({}):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""
OPEN = "from exporter.process_events.connector import Connector; Connector(frozenset()); print('open')"


@pytest.fixture
def connector() -> Iterator[Connector]:
    """Open, for this process's children."""
    try:
        opened = Connector(frozenset({os.getpid()}))
    except UnavailableError as error:
        missing(f"{error}")
        raise
    yield opened
    opened.close()


def spawn(status: int) -> int:
    """Run a child to its end; returns its pid."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {status}"], {})
    os.waitpid(pid, 0)
    return pid


def events(connector: Connector) -> list[Message]:
    """All that is there now."""
    found: list[Message] = []
    while select.select([connector], [], [], 0.2)[0]:
        found += connector.read()
    return found


def test_children(connector: Connector) -> None:
    """Each fork and exit, in order, with the clock that Python calls monotonic."""
    before = time.monotonic_ns()
    pids = [spawn(status) for status in (0, 1, 127)]
    own = [event for event in events(connector) if isinstance(event, Fork | Exit) and event.pid in pids]
    assert [(type(event), event.pid) for event in own] == [(kind, pid) for pid in pids for kind in (Fork, Exit)]
    assert [event.status for event in own if isinstance(event, Exit)] == [0, 1 << 8, 127 << 8]
    assert before <= own[0].at <= own[-1].at <= time.monotonic_ns()
    assert all(event.parent == os.getpid() for event in own if isinstance(event, Fork))


def test_threads_and_other_processes_are_silent(connector: Connector) -> None:
    """Neither wakes the reader; `sh` has children of its own."""
    for _ in range(20):
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join()
    connector.watch(frozenset())
    subprocess.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done"], check=True)
    found = [event for event in events(connector) if isinstance(event, Fork | Exit)]
    assert not [event for event in found if event.parent]  # those without a parent are of one that was faster


def test_a_slow_reader_is_told(connector: Connector) -> None:
    """The kernel says so, and how many: with those that were read, they are all that happened."""
    count = 9000
    command = [sys.executable, "-I", "-S", "-c", FORKS.format(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        connector.watch(frozenset({process.pid}))
        process.communicate(b"go")
    read: list[Message] = []
    with pytest.raises(OSError, match="buffer") as caught:
        read += list(connector.read())
    assert caught.value.errno == errno.ENOBUFS
    lost = connector.dropped()
    assert lost > 0
    read += events(connector)
    lost += connector.dropped()  # the buffer may have been full still
    children = {event.pid for event in read if isinstance(event, Fork) and event.parent == process.pid}
    own = [
        event
        for event in read
        if isinstance(event, Fork | Exit)
        # A child whose parent reaps it before the kernel looks has no parent any more.
        and (event.parent == process.pid or (event.parent == 0 and event.pid in children))
    ]
    assert 2 * count - lost <= len(own) < 2 * count
    assert connector.dropped() == 0


@pytest.mark.parametrize(
    ("namespaces", "words"), [("--net", "--network=host"), ("--pid --fork", "--pid=host"), ("--user", "--pid=host")]
)
def test_in_a_container(namespaces: str, words: str) -> None:
    """One sentence with the remedy, at once."""
    need_root()
    need("unshare")
    command = ["unshare", *namespaces.split(), sys.executable, "-c", OPEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "UnavailableError" in done.stderr
    assert words in done.stderr.splitlines()[-1]


def test_what_an_older_kernel_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped unit has an empty bounding set, from which no ambient capability can come; the page says the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "x")

    monkeypatch.setattr(Connector, "watch", refuse)
    with pytest.raises(UnavailableError) as caught:
        Connector(frozenset())
    page = (Path(__file__).parents[2] / "docs" / "scripts.md").read_text()
    for line in ("AmbientCapabilities=CAP_NET_ADMIN", "CapabilityBoundingSet=CAP_NET_ADMIN"):
        assert line in str(caught.value)
        assert line in page
