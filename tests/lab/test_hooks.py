"""Wrapped scripts of a real OpenVPN that has dropped its rights: every run, failure, duration, update is counted."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sysv_ipc

from tests.support.hooks import HOOK, lines, public_hook
from tests.support.openvpn import Lab, OpenVpn, wait_until
from tests.support.program import Program, running

KEY = 0x4F560001
PASSWORD = "sesame-0f7a"  # noqa: S105  # the one that the test looks for where it must not be
WRONG = "wrong-93bc"

# What each client's name makes the client-connect script do, and how the record calls that.
DEEDS = {
    "good": ("exit 0", "ok"),
    "fail": ("exit 3", "exit_status"),
    "crash": ("kill -SEGV $$", "signal"),
    "hang": ("exec sleep 1000", "timeout"),
    "broken": ("exit 127", "not_executable"),  # as where the interpreter that env looks for is missing
}
CONNECT = 'echo "$script_type $common_name" >>TRUTH; case $common_name in ' + "".join(
    f"{name}*) {deed};; " for name, (deed, _) in DEEDS.items()
) + "esac"  # fmt: skip
AUTH = f'echo "$script_type $username" >>TRUTH; [ "$password" = {PASSWORD} ]'


class Consumer:
    """A daemon that takes the updates, unless it is held."""

    def __init__(self) -> None:
        self.bodies: list[tuple[dict[str, Any], int]] = []
        self.raw = b""
        self.hold = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            with self.hold:
                self.drain()

    def drain(self) -> None:
        """Take all that is there; the caller holds it."""
        try:
            queue = sysv_ipc.MessageQueue(KEY)
            while True:
                body, kind = queue.receive(block=False)
                if body != b"filler":
                    self.raw += body
                    self.bodies.append((json.loads(body), kind))
        except (sysv_ipc.BusyError, sysv_ipc.ExistentialError):
            pass

    @contextmanager
    def taking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


class Site:
    """A server whose scripts are wrapped, and the test's own account of what they did."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.truth = lab.folder / "truth"
        self.record = lab.folder / "hooks.jsonl"
        for path in (self.truth, self.record):
            path.touch()
            path.chmod(0o666)
        hook = f"{public_hook(lab.folder)} --record {self.record} --server vpn"
        queue = f"--queue {KEY:#x}"
        connect, disconnect, learn, auth = (
            lab.script(name, body.replace("TRUTH", str(self.truth)))
            for name, body in (
                ("connect", CONNECT),
                ("disconnect", 'echo "$script_type $common_name" >>TRUTH'),
                ("learn", 'echo "$script_type $1" >>TRUTH'),
                ("auth", AUTH),
            )
        )
        self.disconnect = disconnect
        self.server = lab.server(
            *("user nobody", "group nogroup", "script-security 3"),
            "keepalive 5 20",  # a client whose farewell is lost on a busy machine is missed within 40 seconds
            f'client-connect "{hook} {queue} --timeout 2s -- {connect}"',
            f'client-disconnect "{hook} {queue} -- {disconnect}"',
            f'learn-address "{hook} -- {learn}"',
            f'auth-user-pass-verify "{hook} -- {auth}" via-env',
        )
        self.number = 0

    def client(self, deed: str, password: str = PASSWORD) -> OpenVpn:
        self.number += 1
        login = self.lab.login(f"login{self.number}", f"user{self.number}", password)
        return self.lab.client(f"{deed}-{self.number}", login, "connect-retry-max 1", "auth-retry none")

    def round(self, deeds: dict[str, int]) -> None:
        """So many clients of each deed come, and those that were let in leave again; nothing of them is under way."""
        clients = [(deed, self.client(deed)) for deed, count in deeds.items() for _ in range(count)]
        for deed, client in clients:
            if deed == "good":
                client.wait_connected()
            else:
                client.wait_refused()
        for _, client in clients:
            client.stop()
        disconnects = sum(deeds.values())

        def quiet() -> bool:
            written = lines(self.record)
            ended = sum(line["event"] == "end" for line in written)
            gone = sum(line["event"] == "end" and line["hook"] == "client-disconnect" for line in written)
            return bool(ended * 2 == len(written) and gone >= self.disconnected + disconnects)

        wait_until(quiet, f"the server has seen all of them go: {deeds}", patience=120)
        self.disconnected += disconnects

    disconnected = 0

    def ran(self) -> Counter[str]:
        """How often each hook's script ran, by the test's own scripts."""
        return Counter(line.split()[0] for line in self.truth.read_text().splitlines())


def summed(program: Program, name: str, *by: str) -> Counter[tuple[str, ...]]:
    """The metric's samples that are not 0, summed by labels."""
    found: Counter[tuple[str, ...]] = Counter()
    for (sample, labels), value in program.samples().items():
        if sample == name and value:
            found[tuple(dict(labels)[label] for label in by)] += int(value)
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("queues")
def test_every_count_is_exact(tmp_path: Path) -> None:
    """Clients that succeed, fail, hang, crash; wrong passwords; a queue that is filled, emptied, removed, made anew."""
    config = tmp_path / "config.yml"
    consumer = Consumer()
    expected_drops: Counter[str] = Counter()
    with Lab() as lab:
        site = Site(lab)
        config.write_text(
            f"queues:\n  names: [{{name: status, key: {KEY:#x}}}]\nservers: [{{name: udp1194, hooks: {site.record}}}]\n"
        )
        flags = ("--config.file", str(config), f"--state.directory={tmp_path}/state")
        with running(*flags) as program, consumer.taking():
            assert program.value("openvpn_hook_runs_total", server="udp1194", hook="client-connect") == 0
            assert program.value("openvpn_status_updates_total", server="udp1194", queue="status") == 0

            def posts() -> int:
                return site.ran()["client-connect"] + site.ran()["client-disconnect"]

            queue = sysv_ipc.MessageQueue(KEY, sysv_ipc.IPC_CREX, 0o622)
            site.round({"good": 5, "fail": 3, "crash": 2, "hang": 2, "broken": 2})

            with consumer.hold:  # nobody takes anything, and there is no room
                consumer.drain()
                while True:
                    try:
                        queue.send(b"filler", block=False)
                    except sysv_ipc.BusyError:
                        break
                before = posts()
                site.round({"good": 3, "fail": 1})
                expected_drops["full"] = posts() - before
            wait_until(lambda: queue.current_messages == 0, "the consumer has emptied it")
            site.round({"good": 2})

            with consumer.hold:
                consumer.drain()  # what is in the queue goes with it
                queue.remove()
            before = posts()
            site.round({"good": 2, "crash": 1})
            expected_drops["no_queue"] = posts() - before

            queue = sysv_ipc.MessageQueue(KEY, sysv_ipc.IPC_CREX, 0o600)
            before = posts()
            site.round({"good": 1})
            expected_drops["denied"] = posts() - before

            queue.mode = 0o622
            for wrong in [site.client("good", WRONG) for _ in range(3)]:
                wrong.wait_refused()
            site.disconnected = len([line for line in lines(site.record) if line["hook"] == "client-disconnect"]) // 2
            site.round({"good": 2})

            Path(site.disconnect).chmod(0o644)  # now it cannot be executed: the test's scripts no longer count it
            site.round({"good": 3})
            refused_to_run = site.server.text().count("(--client-disconnect): could not execute external program")
            assert refused_to_run == 3

            site.server.stop()
            ran = site.ran()
            ran["client-disconnect"] += refused_to_run
            ran["auth-user-pass-verify"] = ran.pop("user-pass-verify")
            runs = Counter({(hook,): count for hook, count in ran.items()})
            assert runs["client-connect",] == 14 + 4 + 2 + 3 + 1 + 2 + 3
            assert runs["auth-user-pass-verify",] == runs["client-connect",] + 3
            wait_until(lambda: summed(program, "openvpn_hook_runs_total", "hook") == runs, f"the runs are {runs}")

            failures = {
                ("client-connect", "exit_status"): 3 + 1,
                ("client-connect", "signal"): 2 + 1,
                ("client-connect", "timeout"): 2,
                ("client-connect", "not_executable"): 2,
                ("client-disconnect", "not_executable"): 3,
                ("auth-user-pass-verify", "exit_status"): 3,
            }
            wait_until(lambda: not summed(program, "openvpn_hook_running", "hook"), "all have ended")
            assert summed(program, "openvpn_hook_failures_total", "hook", "reason") == failures
            assert summed(program, "openvpn_hook_duration_seconds_count", "hook") == runs
            page = program.samples()
            for hook in ran:
                took = [
                    line["script_seconds"]
                    for line in lines(site.record)
                    if line["event"] == "end" and line["hook"] == hook
                ]
                labels = {"server": "udp1194", "hook": hook}
                assert page["openvpn_hook_duration_seconds_sum", frozenset(labels.items())] == pytest.approx(sum(took))
                for bound in (0.005, 0.25, 60.0):
                    bucket = frozenset({**labels, "le": str(bound)}.items())
                    assert page["openvpn_hook_duration_seconds_bucket", bucket] == sum(one <= bound for one in took)

            updates = runs["client-connect",] + runs["client-disconnect",]
            assert summed(program, "openvpn_status_updates_total", "queue") == {("status",): updates}
            assert summed(program, "openvpn_status_updates_dropped_total", "queue", "reason") == {
                ("status", reason): count for reason, count in expected_drops.items()
            }
            wait_until(lambda: len(consumer.bodies) >= updates - expected_drops.total(), "all have been taken")
            assert len(consumer.bodies) == updates - expected_drops.total()
            page_text, log = program.page(), "\n".join(program.log)

        for body, kind in consumer.bodies:
            check(body, kind)
        outcomes = Counter(body["result"] for body, _ in consumer.bodies if body["event"] == "client-connect")
        assert outcomes == {"ok": 5 + 2 + 2 + 3, "exit_status": 3, "signal": 2, "timeout": 2, "not_executable": 2}
        # The environment had the password each time: it is nowhere.
        state = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
        for text in (
            site.record.read_text(),
            site.server.text(),
            page_text,
            log,
            consumer.raw.decode(),
            state.decode(),
        ):
            assert text
            assert PASSWORD not in text
            assert WRONG not in text
        for text in (site.record.read_text(), page_text, log):
            assert not re.search(r"good-|10\.200\.|10\.8\.0\.|user[0-9]", text), "nothing personal was asked for"


def check(body: dict[str, Any], kind: int) -> None:
    """One update against the form that docs/hook.md gives."""
    event = body["event"]
    assert kind == {"client-connect": 1, "client-disconnect": 2}[event]
    assert body["server"] == "vpn"
    assert re.fullmatch(r"(good|fail|crash|hang|broken)-[0-9]+", body["common_name"])
    assert re.fullmatch(r"10\.200\.1\.[0-9]+", body["address"])
    assert 0 < body["port"] < 65536
    assert body["vpn_address"].startswith("10.8.0.")
    assert body["time"] > 1.7e9
    optional = {"script_seconds", "exit", "signal"}
    if event == "client-disconnect":
        optional |= {"bytes_received", "bytes_sent", "connected_seconds"}
        assert isinstance(body["bytes_received"], int)
        assert isinstance(body["connected_seconds"], int)
        assert body["result"] in ("ok", "not_executable")
    else:
        assert body["result"] == DEEDS[body["common_name"].partition("-")[0]][1]
    assert ("signal" in body) == (body["result"] == "signal")
    assert ("exit" in body) != ("signal" in body)
    required = {"event", "time", "server", "common_name", "address", "port", "vpn_address", "result"}
    assert required <= body.keys() <= required | optional


@pytest.mark.usefixtures("queues")
def test_an_auth_script_that_cannot_start(tmp_path: Path) -> None:
    """OpenVPN refuses the client as for a wrong password, and its log says nothing else; the collector does."""
    config = tmp_path / "config.yml"
    with Lab() as lab:
        record = lab.folder / "hooks.jsonl"
        record.touch()
        config.write_text(f"servers: [{{name: vpn, hooks: {record}}}]\n")
        auth = lab.script("auth", "exit 0", interpreter="/nonexistent/python")
        server = lab.server(
            "script-security 3", f'auth-user-pass-verify "{HOOK} --record {record} -- {auth}" via-env', "verb 4"
        )
        with running("--config.file", str(config)) as program:
            labels = {"server": "vpn", "hook": "auth-user-pass-verify"}
            wait_until(lambda: program.value("openvpn_hook_running", **labels) == 0, "the record is followed")
            lab.client("alice", lab.login("alice", "alice", PASSWORD), "auth-retry none").wait_refused()
            wait_until(lambda: program.value("openvpn_hook_runs_total", **labels) == 1, "the run is counted")
            failures = summed(program, "openvpn_hook_failures_total", "hook", "reason")
            assert failures == {("auth-user-pass-verify", "not_executable"): 1}
        assert "Failed running command" not in server.text()
        assert PASSWORD not in record.read_text()


def test_a_script_that_is_missing_from_the_line_lets_nobody_in() -> None:
    """Without `--`, the hook would run no script and OpenVPN would admit everybody."""
    with Lab() as lab:
        record = lab.folder / "hooks.jsonl"
        for option in ("tls-verify", "client-connect"):
            server = lab.server(f'{option} "{HOOK} --record {record} /nonexistent/typo.sh"')
            client = lab.client("mallory", "connect-retry-max 1", "hand-window 5")
            server.wait_for("write: -- /nonexistent/typo.sh")
            client.stop()
            server.stop()
            assert "Initialization Sequence Completed" not in client.text()
        assert not record.exists()


def test_every_hook_without_a_script_serves_its_client() -> None:
    """What OpenVPN appends to each command line is not taken for a script."""
    both = ("tls-verify", "route-up", "up", "down", "route-pre-down")
    servers = (*both, "client-connect", "client-disconnect", "learn-address")
    clients = (*both, "ipchange")
    with Lab() as lab:
        record = lab.folder / "hooks.jsonl"
        hook = f'"{HOOK} --record {record}"'
        server = lab.server(*(f"{option} {hook}" for option in servers))
        client = lab.client("alice", "script-security 2", *(f"{option} {hook}" for option in clients))
        client.wait_connected()
        client.stop()
        wait_until(lambda: '"client-disconnect"' in record.read_text(), "the client has left")
        server.stop()
        written = lines(record)
        assert {(line["server"], line["hook"]) for line in written} >= {
            *(("server", hook) for hook in servers),
            *((client.name, hook) for hook in clients),
        }
        assert {line["result"] for line in written if line["event"] == "end"} == {"ok"}
        assert "openvpn-mq-hook:" not in server.text() + client.text()
