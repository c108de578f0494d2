"""Events go in by hand, in milliseconds; runs of scripts come out."""

from collections.abc import Sequence

import pytest

from exporter.discovery.options import Script
from exporter.process_events.child import Failure, Process
from exporter.process_events.commands import Commands
from exporter.process_events.executions import Execution
from exporter.process_events.messages import Exit, Fork
from exporter.process_events.tracker import Tracker

OPENVPN = 100
WORDS = ("/usr/sbin/openvpn", "--config", "server.conf")
UP, AUTH, BYE = "/etc/up.sh", "/etc/auth.sh", "/etc/bye.sh"
SCRIPTS = (Script("up", (UP,), None), Script("auth-user-pass-verify", (AUTH,), None))
MILLISECOND = 1_000_000


class Site:
    """A tracker, what it counts, and what it is told of the host."""

    def __init__(
        self,
        *scripts: Script,
        complete: bool = True,
        plugins: bool = False,
        told: bool = False,
        server: bool = False,
    ) -> None:
        self.log: list[tuple[str | float | None, ...]] = []
        self.executions: list[Execution] = []
        self.broken: list[str] = []
        self.replaced: list[str] = []
        self.tracker = Tracker(self, self._executed, lambda _process: self.broken, lambda _process: self.replaced)
        commands = Commands(scripts or SCRIPTS, complete, plugins, server)
        programs = {script.words[0].encode(): frozenset({script.hook}) for script in commands.scripts} if told else {}
        self.process = Process(OPENVPN, 1, "vpn", WORDS, commands, programs, 0 if told else None)
        self.tracker.adopt(self.process, is_up=False)

    def _executed(self) -> Sequence[Execution]:
        executions, self.executions = self.executions, []
        return executions

    def started(self, server: str, hook: str) -> None:
        self.log.append(("start", server, hook))

    def ended(self, server: str, hook: str, seconds: float, failure: Failure | None) -> None:
        self.log.append(("end", server, hook, seconds, failure))

    def fork(self, pid: int, at: float, parent: int = OPENVPN) -> None:
        self.tracker.fork(Fork(round(at * MILLISECOND), parent, pid))

    def look(self, at: float, words: dict[int, Sequence[str] | None]) -> None:
        """What is due then is looked at."""
        for pid in self.tracker.due(round(at * MILLISECOND)):
            self.tracker.looked(pid, words.get(pid, WORDS), round(at * MILLISECOND))

    def exit(self, pid: int, at: float, status: int = 0, parent: int = OPENVPN) -> None:
        self.tracker.exit(Exit(round(at * MILLISECOND), parent, pid, status))

    def run(self, pid: int, words: Sequence[str], begin: float, end: float, status: int = 0) -> None:
        self.fork(pid, begin)
        self.look(begin + 0.3, {pid: words})
        self.exit(pid, end, status)


def ends(site: Site) -> list[tuple[str | float | None, ...]]:
    return [entry[2:] for entry in site.log if entry[0] == "end"]


def test_a_run() -> None:
    site = Site()
    site.fork(7, 1000)
    assert site.log == []
    site.look(1000.3, {})  # not yet executed: still OpenVPN's own command line
    assert site.log == []
    site.look(1000.5, {7: ("/bin/sh", AUTH)})
    assert site.log == [("start", "vpn", "auth-user-pass-verify")]
    assert site.tracker.running() == {("vpn", "auth-user-pass-verify"): 1}
    assert site.tracker.blocked(1100 * MILLISECOND) == {"vpn": 0.1}
    site.exit(7, 1250)
    assert ends(site) == [("auth-user-pass-verify", 0.25, None)]
    assert not site.tracker.running()
    assert site.tracker.blocked(9999 * MILLISECOND) == {"vpn": 0.25}


@pytest.mark.parametrize(
    ("script", "status", "failure"),
    [
        (UP, 0, None),
        (UP, 1 << 8, "exit_status"),
        (UP, 2 << 8, "exit_status"),
        (AUTH, 2 << 8, None),  # deferred
        (AUTH, 1 << 8, "exit_status"),
        (AUTH, 127 << 8, "not_executable"),
        (UP, 9, "signal"),
        (UP, 11 | 0x80, "signal"),  # with a core dump
    ],
)
def test_how_it_ended(script: str, status: int, failure: Failure | None) -> None:
    site = Site()
    site.run(7, (script,), 0, 5, status)
    (end,) = ends(site)
    assert end[2] == failure


def test_a_helper_is_no_script() -> None:
    site = Site()
    site.run(7, ("/sbin/ip", "link", "set", "tun0", "up"), 0, 5, 1 << 8)
    assert site.log == []


def test_a_plugins_process_is_no_script() -> None:
    """It has executed nothing for a while; and its own children are not OpenVPN's."""
    site = Site()
    site.fork(7, 0)
    for at in (0.3, 1, 2, 5, 9, 17, 33, 65, 129, 300, 600):
        site.look(at, {})
    assert site.tracker.next_look() is None
    site.fork(8, 700, parent=7)
    site.exit(8, 701, 1 << 8, parent=7)
    site.exit(7, 5000, 1 << 8)
    assert site.log == []
    assert not site.tracker.running()


def test_gone_before_it_was_looked_at() -> None:
    """It counts; its hook is known if there is one script only."""
    site = Site()
    site.fork(7, 0)
    site.exit(7, 0.8)
    assert site.log == [("start", "vpn", "other"), ("end", "vpn", "other", 0.0008, None)]
    site = Site(SCRIPTS[1])
    site.fork(7, 0)
    site.exit(7, 0.8, 2 << 8)
    assert ends(site) == [("auth-user-pass-verify", 0.0008, None)]


def test_executions_tell_what_was_never_looked_at() -> None:
    """In the order of the children, however late they are read; those of others are dropped in between."""
    site = Site(told=True)
    site.executions = [Execution(AUTH.encode(), 0), Execution(AUTH.encode(), 0), Execution(UP.encode(), 0)]
    for pid in (7, 8, 9):
        site.fork(pid, pid)
        site.exit(pid, pid + 0.5)
    assert [end[0] for end in ends(site)] == ["auth-user-pass-verify", "auth-user-pass-verify", "up"]
    site.executions = [Execution(b"/of/another", 0), Execution(UP.encode(), 0)]
    site.run(10, (AUTH,), 20, 60)
    site.tracker.settle()
    site.executions = [Execution(AUTH.encode(), 0)]
    site.fork(11, 70)
    site.exit(11, 71)
    assert ends(site)[-1][0] == "auth-user-pass-verify"


def test_executions_with_pids_tell_whose_they_are() -> None:
    site = Site(told=True)
    site.executions = [Execution(UP.encode(), 999), Execution(AUTH.encode(), 7)]
    site.fork(7, 0)
    site.exit(7, 1)
    assert [end[0] for end in ends(site)] == ["auth-user-pass-verify"]


def test_nothing_was_executed() -> None:
    """Where executions are reported, a short child without one is OpenVPN's own, or a plugin's."""
    site = Site(told=True)
    site.fork(7, 0)
    site.exit(7, 1, 1 << 8)
    assert site.log == []


def test_it_could_not_be_executed() -> None:
    """OpenVPN's child ends with 127: the hook is that of the script that cannot be executed, if one is known."""
    for told in (True, False):
        site = Site(told=told)
        site.broken = ["auth-user-pass-verify"]
        site.fork(7, 0)
        site.exit(7, 0.5, 127 << 8)
        assert ends(site) == [("auth-user-pass-verify", 0.0005, "not_executable")]
    site = Site()
    site.fork(7, 0)
    site.exit(7, 0.5, 127 << 8)
    assert ends(site) == [("other", 0.0005, "not_executable")]


def test_one_script_for_up_and_down() -> None:
    """Up comes first, then they take turns; a process that runs for long is up."""
    scripts = (Script("up", (UP,), None), Script("down", (UP,), None))
    site = Site(*scripts)
    for pid in (7, 8, 9):
        site.run(pid, (UP, "tun0", "1500", "0", "10.8.0.1", "255.255.255.0", "init"), pid * 10, pid * 10 + 5)
    assert [end[0] for end in ends(site)] == ["up", "down", "up"]
    site.tracker.release(OPENVPN, 0)
    site.tracker.adopt(site.process, is_up=True)
    site.run(10, (UP,), 100, 105)
    assert ends(site)[-1][0] == "down"


def test_it_ran_already() -> None:
    """A child that is found counts as a run, from its own start; OpenVPN's own fork is none."""
    site = Site()
    site.tracker.found(OPENVPN, 7, ("/bin/sh", UP), 500 * MILLISECOND)
    site.tracker.found(OPENVPN, 8, WORDS, 500 * MILLISECOND)
    site.tracker.found(OPENVPN, 7, ("/bin/sh", UP), 500 * MILLISECOND)
    assert site.log == [("start", "vpn", "up")]
    site.exit(7, 2500)
    assert ends(site) == [("up", 2.0, None)]


def test_daemon() -> None:
    """OpenVPN goes on under another pid: its child that has executed nothing takes its place."""
    site = Site()
    site.fork(101, 0)
    site.exit(OPENVPN, 1, parent=1)
    assert list(site.tracker.processes) == [101]
    site.fork(7, 5, parent=101)
    site.look(5.3, {7: (UP,)})
    site.exit(7, 6, parent=101)
    assert ends(site) == [("up", 0.001, None)]


def test_openvpn_ends_while_a_script_runs() -> None:
    """Nobody waits for it any longer: it runs no more, and neither fails nor has a duration."""
    site = Site()
    site.fork(7, 0)
    site.look(0.3, {7: (UP,)})
    site.exit(OPENVPN, 10, parent=1)
    assert not site.tracker.running()
    assert site.tracker.blocked(9999 * MILLISECOND) == {"vpn": 0.01}
    site.exit(7, 20, 1 << 8, parent=1)
    assert ends(site) == []
    assert not site.tracker.processes


def test_a_pid_is_used_again() -> None:
    """By a child of its own, and by a process that is none of OpenVPN's."""
    site = Site()
    site.run(7, (UP,), 0, 5)
    site.fork(7, 10, parent=55)
    site.exit(7, 15, 1 << 8, parent=55)
    site.run(7, (AUTH,), 20, 25)
    assert ends(site) == [("up", 0.005, None), ("auth-user-pass-verify", 0.005, None)]


def test_after_a_loss() -> None:
    """Children whose ends were lost run no more, and are not guessed at."""
    site = Site()
    site.fork(7, 0)
    site.look(0.3, {7: (UP,)})
    site.tracker.lose([7], 100 * MILLISECOND)
    assert site.tracker.blocked(0) == {"vpn": 0.1}
    assert not site.tracker.running()
    assert ends(site) == []


def test_a_script_that_was_replaced() -> None:
    """Its execution is not reported, so a child that may have been it was."""
    site = Site(told=True)
    site.fork(7, 0)
    site.exit(7, 1)
    assert site.log == []
    site.replaced = ["auth-user-pass-verify"]
    site.fork(8, 2)
    site.exit(8, 3, 1 << 8)
    assert ends(site) == [("auth-user-pass-verify", 0.001, "exit_status")]


def test_a_child_that_is_gone() -> None:
    """Its end is on its way, on a busy host for long, or was dropped: then nothing waits for it."""
    site = Site(told=True)
    for pid in (7, 8, 9):
        site.fork(pid, 0)
    site.look(10, {7: None, 8: None, 9: None})
    site.executions = [Execution(UP.encode(), 7)]
    site.exit(7, 11)
    assert ends(site) == [("up", 0.011, None)]
    assert site.tracker.due(2009 * MILLISECOND) == []
    site.executions = [Execution(UP.encode(), 9)]
    site.exit(9, 1500)
    assert len(ends(site)) == 2
    assert site.tracker.children() == [8]
    site.look(2010, {8: None})
    assert site.tracker.children() == []
    assert site.tracker.next_look() is None


def test_a_server_starts() -> None:
    """What is gone before anything is known of it is `up`, then `route-up`: a server runs nothing before them."""
    site = Site(*SCRIPTS, Script("route-up", ("/r.sh",), None), Script("down", (BYE,), None), server=True)
    for pid in (7, 8, 9):
        site.fork(pid, pid)
        site.exit(pid, pid + 0.5)
    site.run(10, (BYE,), 20, 25)
    site.fork(11, 30)
    site.exit(11, 31)
    assert [end[0] for end in ends(site)] == ["up", "route-up", "other", "down", "up"]
