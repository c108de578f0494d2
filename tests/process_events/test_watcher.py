"""The kernel's reports of an OpenVPN's scripts, read later than the kernel has room for them."""

import errno
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from exporter.discovery.finder import Finder
from exporter.discovery.instance import Instance
from exporter.discovery.processes import HiddenError
from exporter.process_events import connector, instances
from exporter.process_events.child import Failure
from exporter.process_events.connector import UnavailableError
from exporter.process_events.messages import Message
from exporter.process_events.watcher import Watcher
from tests.support.fake_openvpn import FakeOpenVpn
from tests.support.needs import missing

pytestmark = pytest.mark.xdist_group("process_events")

SCRIPT = """#!/bin/sh
while [ -e {hold} ]; do sleep 0.01; done
exit 1
"""
ROOM = 100  # about so many reports does the kernel keep


class Uncounted:
    """Takes runs for nothing."""

    def started(self, server: str, hook: str) -> None: ...

    def ended(self, server: str, hook: str, seconds: float, failure: Failure | None) -> None: ...


class Site:
    """A watcher of one OpenVPN, once there is one, and what it counts."""

    def __init__(self, openvpn: FakeOpenVpn | None = None) -> None:
        self.openvpn = openvpn
        self.named = 0  # how often it was asked for the names of processes
        self.starts = 0
        self.ends: Counter[Failure | None] = Counter()
        finder = Finder(Path("/proc"))
        self.watcher = Watcher(Path("/proc"), finder.find, self._name, self, lambda: None)

    def _name(self, _found: Sequence[Instance]) -> dict[int, str]:
        self.named += 1
        return {self.openvpn.process.pid: "vpn"} if self.openvpn else {}

    def started(self, _server: str, _hook: str) -> None:
        self.starts += 1

    def ended(self, _server: str, _hook: str, _seconds: float, failure: Failure | None) -> None:
        self.ends[failure] += 1

    def work_until(self, is_reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not is_reached():
            assert time.monotonic() < deadline
            self.watcher.work(0.05)

    def work_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.watcher.work(0.05)


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """As long as this file is there, the script does not end."""
    return tmp_path / "hold"


@pytest.fixture
def openvpn(tmp_path: Path, hold: Path) -> Iterator[FakeOpenVpn]:
    script = tmp_path / "learn.sh"
    script.write_text(SCRIPT.format(hold=hold))
    script.chmod(0o755)
    with FakeOpenVpn(tmp_path, "vpn", script) as started:
        yield started


@pytest.fixture
def site(openvpn: FakeOpenVpn, room: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(connector, "_BUFFER", room * 768 // 2)  # the kernel doubles it
    monkeypatch.setattr("shutil.which", lambda _name: None)  # the start of another OpenVPN
    monkeypatch.setattr(instances, "_OPENVPN", "/nowhere")  # would have all processes of the host reported
    watched = Site(openvpn)
    try:
        watched.watcher.connect()
    except UnavailableError as error:
        missing(str(error))

    def is_followed() -> bool:
        openvpn.run(1)
        return watched.starts > 0

    watched.work_until(is_followed)
    watched.work_for(0.2)
    yield watched
    watched.watcher.close()


@pytest.mark.parametrize("room", [20_000])
def test_scripts_in_quick_succession_are_all_counted(site: Site, openvpn: FakeOpenVpn) -> None:
    """Many reports are read at once, and while they are, others come."""
    before = site.starts, site.ends.total()
    runner = threading.Thread(target=openvpn.run, args=(1000,))
    runner.start()
    site.work_until(lambda: not runner.is_alive())
    site.work_for(0.5)
    assert (site.starts - before[0], site.ends.total() - before[1], site.watcher.lost) == (1000, 1000, 0)


@pytest.mark.parametrize("room", [ROOM])
def test_what_ended_before_the_kernel_ran_out_of_room_is_counted(site: Site, openvpn: FakeOpenVpn, hold: Path) -> None:
    hold.touch()
    assert openvpn.process.stdin
    assert openvpn.process.stdout
    openvpn.process.stdin.write("1\n")
    openvpn.process.stdin.flush()
    site.work_until(lambda: bool(site.watcher.running()))
    starts, ends = site.starts, site.ends.total()
    hold.unlink()
    assert openvpn.process.stdout.readline() == "done\n"
    openvpn.run(ROOM)
    site.work_until(lambda: site.watcher.lost > 0)
    site.work_until(lambda: site.ends.total() > ends + ROOM // 3)
    assert not site.watcher.running()
    assert site.ends.total() - ends == site.starts - starts + 1


@pytest.mark.parametrize("room", [ROOM, ROOM + 1])  # with one of the two, the first report that is lost is an end
def test_a_child_whose_end_is_lost_keeps_nobody_awake(site: Site, openvpn: FakeOpenVpn) -> None:
    openvpn.run(ROOM)
    site.work_until(lambda: site.watcher.lost > 0)
    time.sleep(0.6)  # after which no child is looked at any more
    rounds = 0
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        site.watcher.work(0.5)
        rounds += 1
    assert rounds < 10


def connected(watcher: Watcher) -> Watcher:
    try:
        watcher.connect()
    except UnavailableError as error:
        missing(str(error))
    return watcher


def test_a_proc_that_hides_openvpn_is_a_fault(tmp_path: Path) -> None:
    """Not a host on which no script runs."""
    watcher = connected(Watcher(tmp_path, Finder(tmp_path).find, lambda _: {}, Uncounted(), lambda: None))
    for _ in range(2):
        with pytest.raises(HiddenError, match="hidepid"):
            watcher.work(1)
        time.sleep(1.1)  # until the next look
    watcher.close()


def test_names_are_asked_for_when_they_have_changed_though_no_openvpn_runs(tmp_path: Path) -> None:
    """So that who names processes hears of it, and ends the series of servers that are no longer configured."""
    asked: list[int] = []

    def name(found: Sequence[Instance]) -> dict[int, str]:
        asked.append(len(found))
        return {}

    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "comm").write_text("init\n")
    watcher = connected(Watcher(tmp_path, list, name, Uncounted(), lambda: None))
    watcher.work(0)
    assert asked == []
    watcher.look_soon()
    watcher.work(0)
    assert asked == [0]
    watcher.close()


@pytest.mark.parametrize("room", [1000])
@pytest.mark.parametrize("pause", [0.0, 1.5])  # seconds: before the next look, and after it
def test_a_script_that_was_replaced(site: Site, openvpn: FakeOpenVpn, tmp_path: Path, pause: float) -> None:
    """As by an editor or a deployment: its runs count on, however short they are, and it is looked at anew."""
    script, new = tmp_path / "learn.sh", tmp_path / "new"
    new.write_text("#!/bin/sh\nexit 3\n")
    new.chmod(0o755)
    new.rename(script)
    named = site.named
    site.work_for(pause)
    starts = site.starts
    openvpn.run(20)
    site.work_for(1.7 - pause)
    assert site.named > named
    assert site.starts == starts + 20


@pytest.fixture
def early(room: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A watcher that is there before the OpenVPN is, as whose program it knows Python's."""
    monkeypatch.setattr(connector, "_BUFFER", room * 768 // 2)
    monkeypatch.setattr("shutil.which", lambda _name: sys.executable)
    watched = Site()
    connected(watched.watcher)
    watched.work_for(0.2)
    yield watched
    watched.watcher.close()


@pytest.mark.parametrize("room", [1000])
@pytest.mark.parametrize("is_shell_first", [False, True])
def test_what_ran_before_the_start_was_noticed(early: Site, tmp_path: Path, is_shell_first: bool) -> None:
    """As beside other processes that take all CPUs; a shell in whose place OpenVPN runs has had children of its own."""
    script = tmp_path / "learn.sh"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    before = ("/bin/sh", "-c", f'{script}; exec "$@"', "sh") if is_shell_first else ()
    with FakeOpenVpn(tmp_path, "vpn", script, *before) as openvpn:
        early.openvpn = openvpn
        openvpn.run(3)
        early.work_until(lambda: early.ends.total() >= 3)
        openvpn.run(2)
        early.work_for(0.5)
    assert early.starts == 5
    assert early.ends == {"exit_status": 5}
    assert early.watcher.lost == 0


@pytest.mark.parametrize("room", [ROOM])
def test_what_ran_before_the_start_was_noticed_and_found_no_room(early: Site, openvpn: FakeOpenVpn) -> None:
    """Scripts are missing, and it is told."""
    early.openvpn = openvpn
    openvpn.run(ROOM)
    early.work_until(lambda: early.starts > 0)
    assert early.starts < ROOM
    assert early.watcher.lost > ROOM


@pytest.mark.parametrize("room", [ROOM])
def test_what_others_ran_leaves_room(early: Site, tmp_path: Path) -> None:
    """And what found none is no loss, as it was no OpenVPN's."""
    script = tmp_path / "learn.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    storm = f"for i in $(seq {ROOM}); do /bin/true; done"
    for _ in range(3):
        subprocess.run(["/bin/sh", "-c", storm], check=True)
        early.work_for(2.2)  # two looks
    with FakeOpenVpn(tmp_path, "vpn", script) as openvpn:
        early.openvpn = openvpn
        openvpn.run(3)
        early.work_until(lambda: early.ends.total() >= 3)
    assert early.starts == 3
    assert early.watcher.lost == 0


@pytest.mark.parametrize("room", [1000])
def test_after_a_fault_it_asks_anew(site: Site, openvpn: FakeOpenVpn, monkeypatch: pytest.MonkeyPatch) -> None:
    """And follows the OpenVPN that it knew."""

    def fail(_: connector.Listener) -> Iterator[Message]:
        raise OSError(errno.ENOMEM, "no memory")

    with monkeypatch.context() as broken:
        broken.setattr(connector.Listener, "read", fail)
        openvpn.run(1)
        with pytest.raises(OSError, match="no memory"):
            site.work_for(1)
    site.work_for(1.2)
    starts = site.starts
    openvpn.run(3)
    site.work_for(0.5)
    assert site.starts == starts + 3
