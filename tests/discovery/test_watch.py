"""What the collectors are given to watch, and what is said of what cannot be read."""

import base64
import contextlib
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.config.model import Config, DiscoveryOptions, OpenVpnServer, TcpAddress, UnixAddress
from exporter.discovery.access import KINDS
from exporter.discovery.found import Found
from exporter.discovery.instance import Instance
from exporter.discovery.watch import KEEP, Discovery
from exporter.errors import BadInputError
from tests.discovery.hosts import Host
from tests.support.folders import open_folder
from tests.support.needs import need, need_root
from tests.support.openvpn import wait_until

SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\ntopology subnet\n"
POLLED = Config(discovery=DiscoveryOptions(management=True))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.file("/var/log/journal/0123/system.journal")
    return host


@pytest.fixture
def open_host() -> Iterator[Host]:
    """A host whose files anybody may reach."""
    with open_folder() as folder:
        host = Host(folder)
        host.file("/var/log/journal/0123/system.journal")
        yield host


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights for a while."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def run(host: Host, text: str, pid: int = 500, name: str = "vpn") -> None:
    """Start an OpenVPN with this configuration."""
    host.file(f"/etc/openvpn/{name}.conf", text)
    group = f"/system.slice/openvpn@{name}.service"
    host.process(pid, ["openvpn", "--config", f"/etc/openvpn/{name}.conf"], cgroup=group, cwd="/")


def test_a_command_line_that_no_openvpn_takes(host: Host) -> None:
    """Any user can start a process named openvpn; the servers beside it are found all the same."""
    run(host, SERVER)
    host.process(600, ["openvpn", "--config", "x.conf", "--mode", "server", "--management", "127.0.0.1", "9" * 5000])
    assert [server.name for server in host.discovery(POLLED).look().servers] == ["openvpn", "vpn"]


def test_processes_of_users_do_not_crowd_out_a_server(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred are watched: first those that systemd runs, also when they have ended; one line tells that it is so."""
    discovery = host.discovery()
    run(host, SERVER)
    for pid in range(600, 800):
        host.process(pid, ["openvpn", "--mode", "server", "--config", f"/home/x/{pid}.conf"], start_ticks=1)
    for _ in range(2):
        servers = discovery.look().servers
        discovery.report()
        assert len(servers) == 100
        assert "vpn" in {server.name for server in servers}
    host.end(500)
    for pid in range(600, 800):
        host.end(pid)
        host.process(pid + 1000, ["openvpn", "--mode", "server", "--config", f"/home/x/{pid + 1000}.conf"])
    servers = discovery.look().servers
    assert len(servers) == 100
    assert "vpn" in {server.name for server in servers}
    assert discovery.found
    assert "vpn" in discovery.found.ended
    messages = [record.getMessage() for record in caplog.records]
    assert len([message for message in messages if "more than 100 OpenVPN servers" in message]) == 1


def test_a_server_with_everything(host: Host) -> None:
    host.file("/run/m.sock")
    text = "log /var/log/vpn.log\nstatus /run/st 5\nmanagement /run/m.sock unix /etc/pw\n"
    run(host, SERVER + text + 'client-connect "/usr/bin/openvpn-mq-hook --record /var/log/hooks.jsonl -- /x"\n')
    assert host.discovery(POLLED).look().servers == (
        OpenVpnServer(
            "vpn",
            log=host.root / "var/log/vpn.log",
            hooks=host.root / "var/log/hooks.jsonl",
            management=UnixAddress(f"{host.root}/run/m.sock"),
            management_password_file=host.root / "etc/pw",
            status=host.root / "run/st",
            status_interval=5.0,
            script_hooks=frozenset({"client-connect"}),
        ),
    )


@pytest.mark.parametrize(
    ("text", "hooks"),
    [
        (SERVER, set()),
        (SERVER + "up /x\ntls-verify /x\nplugin /usr/lib/openvpn-plugin-auth-pam.so\n",
         {"up", "tls-verify", "auth-user-pass-verify"}),
        (SERVER + "up /x\nplugin /usr/lib/of-the-site.so\n", None),
        (SERVER + "config /etc/openvpn/gone\nup /x\n", None),
        ("client\nup /x\n", {"up", "dns-updown"}),
    ],
    ids=["none", "scripts-and-plugin", "unknown-plugin", "unreadable", "client"],
)  # fmt: skip
def test_hooks_of_scripts(host: Host, text: str, hooks: set[str] | None) -> None:
    """None: the configuration is not known as a whole, so there may be scripts at any hook."""
    run(host, text)
    (instance,) = host.instances().values()
    assert instance.script_hooks == hooks


def test_configured_servers_get_the_hooks_of_what_runs(host: Host) -> None:
    """A server that does not run may have any; one that is not configured is not watched."""
    run(host, SERVER + "status /run/st\nup /x\n")
    run(host, SERVER, pid=501, name="stranger")
    office = OpenVpnServer("office", status=host.root / "run/st")
    away = OpenVpnServer("away", status=host.root / "run/other")
    found = host.discovery(Config(servers=(office, away))).look()
    assert found.servers == (replace(office, script_hooks=frozenset({"up"})), away)


def test_management_is_polled_on_request_only(host: Host) -> None:
    host.file("/run/m.sock")
    run(host, SERVER + "management /run/m.sock unix\n")
    assert host.discovery().look().servers[0].management is None
    assert host.discovery(POLLED).look().servers[0].management is not None


def test_a_management_interface_whose_password_is_closed(open_host: Host) -> None:
    """It is not knocked at every 15 seconds without one, and the metric says why; without polling it is not needed."""
    file = open_host.file("/etc/pw", "secret\n", mode=0o600)
    run(open_host, SERVER + "management localhost 7505 /etc/pw\n")
    for config, unreadable in ((POLLED, 1), (Config(), 0)):
        discovery = open_host.discovery(config)
        with as_nobody():
            (server,) = discovery.look().servers
        assert server.management is None
        assert discovery.found
        assert discovery.found.unreadable("vpn") == {**dict.fromkeys(KINDS, 0), "password": unreadable}
    file.chmod(0o644)
    with as_nobody():
        (server,) = open_host.discovery(POLLED).look().servers
    assert server.management == TcpAddress("localhost", 7505)
    assert server.management_password_file == file


def test_a_management_socket_in_a_container(host: Host) -> None:
    """It is reached through the container's root: the host may have a socket of the same path, of another server."""
    argv = ["openvpn", "--server", "10.8.0.0", "255.255.255.0", "--dev", "tun0", "--management", "/run/m.sock", "unix"]
    host.process(500, argv, cgroup="/system.slice/docker-0123456789abcdef.scope", cwd="/")
    own = OpenVpnServer("own", management=UnixAddress("/run/m.sock"))
    (server,) = host.discovery(POLLED).look().servers
    assert server.management == UnixAddress(f"{host.procfs}/500/root/run/m.sock")
    configured = host.discovery(Config(servers=(own,)))
    configured.look()
    assert configured.found
    assert [one.name for one in configured.found.instances] == ["tun0"]


@pytest.mark.parametrize(
    ("address", "is_polled"),
    [("127.0.0.1", False), ("0.0.0.0", False), ("::1", False), ("172.17.0.2", True)],  # noqa: S104
)
def test_a_management_port_in_a_container(host: Host, address: str, is_polled: bool) -> None:
    """The host's own port of that number may be another server's."""
    argv = ["openvpn", "--server", "10.8.0.0", "255.255.255.0", "--dev", "tun0", "--management", address, "7505"]
    host.process(500, argv, cgroup="/system.slice/docker-0123456789abcdef.scope", cwd="/")
    (server,) = host.discovery(POLLED).look().servers
    assert server.management == (TcpAddress(address, 7505) if is_polled else None)


def test_management_is_never_polled_if_its_client_has_a_part(host: Host) -> None:
    host.file("/run/m.sock")
    run(host, SERVER + "management /run/m.sock unix\nmanagement-client-auth\n")
    assert host.discovery(POLLED).look().servers[0].management is None


def test_clients_are_listed_and_not_watched(host: Host) -> None:
    run(host, "client\nremote example.com\nstatus /run/st\n")
    discovery = host.discovery()
    assert discovery.look().servers == ()
    assert discovery.found
    assert [one.mode for one in discovery.found.instances] == ["client"]


def test_the_configurations_servers_win_and_give_their_names(host: Host) -> None:
    """Found by what no two instances share; who is not in the configuration cannot take a name of it."""
    run(host, SERVER + "status /run/a\n", 500, "a")
    run(host, SERVER, 501, "berlin")
    config = Config(servers=(OpenVpnServer("berlin", status=host.root / "run/a"), OpenVpnServer("rome")))
    discovery = host.discovery(config)
    berlin, rome = config.servers
    assert discovery.look() == replace(config, servers=(replace(berlin, script_hooks=frozenset()), rome))
    assert discovery.found
    names = {one.name: one.config for one in discovery.found.instances}
    assert names == {"berlin": "/etc/openvpn/a.conf", "berlin'": "/etc/openvpn/berlin.conf"}


@pytest.mark.parametrize("key", ["status", "log", "management"])
def test_a_configured_server_is_recognized_through_a_link(host: Host, key: str) -> None:
    """Many configurations still say /var/run for /run."""
    run(host, SERVER + "status /run/x\nlog /run/x\nmanagement /run/x unix\n")
    (host.root / "run").mkdir()
    (host.root / "var/run").symlink_to("../run")
    path = host.root / "var/run/x"
    value = UnixAddress(str(path)) if key == "management" else path
    discovery = host.discovery(Config(servers=(OpenVpnServer("office", **{key: value}),)))  # type: ignore[arg-type]
    discovery.look()
    assert discovery.found
    assert [one.name for one in discovery.found.instances] == ["office"]


def test_a_reload_keeps_what_was_found(host: Host) -> None:
    """A new file without servers gets them; one with servers has its own."""
    run(host, SERVER)
    told: list[Config] = []
    discovery = host.discovery()
    discovery.start(told.append)
    try:
        wait_until(lambda: len(told) == 1, "it is found")
        own = Config(servers=(OpenVpnServer("own"),))
        discovery.adopt(own)
        discovery.adopt(POLLED)
    finally:
        discovery.stop()
    assert [one.name for one in told[0].servers] == ["vpn"]
    assert told[1:] == [own, replace(POLLED, servers=told[0].servers)]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_reload_before_the_start_is_not_lost(host: Host, *, enabled: bool) -> None:
    """SIGHUP may come while the collectors are still starting with the file as it was."""
    own = Config(servers=(OpenVpnServer("own"),))
    told: list[Config] = []
    discovery = Discovery(host.finder, Config(), enabled=enabled)
    discovery.adopt(own)
    discovery.start(told.append)
    try:
        assert discovery.wait_for_first_look(10)
    finally:
        discovery.stop()
    assert told == [own]


def test_what_two_write_to_is_nobodys(host: Host) -> None:
    """Nobody can tell whose a line is; the hook's record names its server in each."""
    text = 'log /var/log/vpn.log\nclient-connect "/usr/bin/openvpn-mq-hook"\n'
    run(host, SERVER + text, 500, "a")
    run(host, SERVER + text, 501, "b")
    run(host, SERVER + "log /var/log/c.log\n", 502, "c")
    discovery = host.discovery()
    record = host.root / "var/log/openvpn-mq/hooks.jsonl"
    logs = {server.name: (server.log, server.hooks) for server in discovery.look().servers}
    assert logs == {"a": (None, record), "b": (None, record), "c": (host.root / "var/log/c.log", None)}
    assert discovery.found
    assert discovery.found.unreadable("a")["log"] == 1
    (reason,) = [one.reason for one in discovery.found.accesses["a"] if one.source.kind == "log"]
    assert reason == "it is also that of OpenVPN b: give each its own log"


def test_instances_come_and_go(host: Host) -> None:
    """Everybody is told once per change. One that has ended is watched for an hour: it may start again."""
    told: list[list[str]] = []
    now = [0.0]
    discovery = host.discovery(clock=lambda: now[0])
    run(host, SERVER, 500, "a")
    discovery.start(lambda config: told.append([server.name for server in config.servers]))

    def look() -> Found:
        before = discovery.found
        discovery.hurry()
        wait_until(lambda: discovery.found is not before, "it looks again")
        assert discovery.found
        return discovery.found

    try:
        wait_for(told, 1)
        run(host, SERVER, 501, "b")
        look()
        wait_for(told, 2)
        host.end(500)
        found = look()
        assert [one.name for one in found.instances] == ["b"]
        assert found.ended == ("a",)
        now[0] = KEEP - 1.0
        run(host, SERVER, 502, "a")
        assert look().ended == ()
        now[0] += KEEP - 1.0  # counted from when it was seen last
        host.end(502)
        assert look().ended == ("a",)
        now[0] += 1.0
        look()
        wait_for(told, 3)
    finally:
        discovery.stop()
    assert told == [["a"], ["a", "b"], ["b"]]
    assert discovery.fault is None


def test_if_processes_are_hidden_nothing_has_ended(host: Host) -> None:
    run(host, SERVER)
    discovery = host.discovery()
    servers = discovery.look().servers
    host.end(1)
    assert discovery.look().servers == servers
    assert discovery.fault
    assert discovery.found
    assert discovery.found.ended == ()  # nor is it said that it had


def test_what_turns_out_to_be_a_client_has_not_ended(host: Host) -> None:
    """Watched like a server while its configuration cannot be read, and then no more: a name is on the page once."""
    host.process(500, ["openvpn", "--config", "/etc/openvpn/vpn.conf"], cwd="/")
    discovery = host.discovery()
    assert [server.name for server in discovery.look().servers] == ["vpn"]
    host.file("/etc/openvpn/vpn.conf", "client\nremote example.com\n")
    assert discovery.look().servers == ()
    assert discovery.found
    assert [(one.name, one.mode) for one in discovery.found.instances] == [("vpn", "client")]
    assert discovery.found.ended == ()
    host.end(500)
    assert discovery.look().servers == ()


def wait_for(told: list[list[str]], count: int) -> None:
    """Wait until so many changes were told."""
    wait_until(lambda: len(told) >= count, f"{count} changes; told {told}")


def test_hidden_processes_are_a_fault_with_a_remedy(host: Host) -> None:
    host.end(1)
    discovery = host.discovery()
    assert discovery.look() == Config()
    assert discovery.fault is not None
    assert "hidepid" in discovery.fault
    assert "`servers`" in discovery.fault


def test_what_cannot_be_read_is_counted_and_logged_once(open_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """As nobody: the folder of the status file is closed, the log is not there yet."""
    need_root()
    host = open_host
    run(host, SERVER + "status /run/closed/st\nlog /var/log/vpn.log\nca /etc/ca\n")
    host.file("/run/closed/st").parent.chmod(0o710)
    host.file("/etc/ca", mode=0o600)
    discovery = host.discovery()
    caplog.set_level(logging.INFO)
    with as_nobody():
        first = discovery.look()
        discovery.report()
        discovery.look()
        discovery.report()
    assert discovery.found
    assert discovery.found.unreadable("vpn") == {**dict.fromkeys(KINDS, 0), "status": 1, "certificate": 1}
    assert (first.servers[0].status, first.servers[0].log) == (None, host.root / "var/log/vpn.log")
    (line,) = [record.message for record in caplog.records]
    assert "/run/closed/st: Permission denied; /etc/ca: Permission denied" in line
    assert "openvpn-mq-check --as nobody" in line

    discovery.look()  # as root, who may
    discovery.report()
    assert caplog.records[-1].message.endswith("everything can be read now")
    assert discovery.found.unreadable("vpn")["status"] == 0
    with as_nobody():
        last = discovery.look()
    assert last.servers[0].status == host.root / "run/closed/st"  # its collector is to report what it had


@pytest.mark.parametrize("folder", ["", "/0123"], ids=["of-all", "of-the-machine"])
def test_a_journal_in_a_closed_folder_is_denied_and_not_missing(open_host: Host, folder: str) -> None:
    """As on a hardened host, where it is root's and systemd-journal's alone."""
    need_root()
    run(open_host, SERVER)
    (open_host.root / f"var/log/journal{folder}").chmod(0o750)
    discovery = open_host.discovery()
    with as_nobody():
        discovery.look()
    assert discovery.found
    assert discovery.found.unreadable("vpn")["journal"] == 1


def test_what_is_no_regular_file_cannot_be_used(host: Host) -> None:
    """A pipe, whose lines another program waits for, is not even opened."""
    run(host, SERVER + "status /run/st\nlog /var/log/pipe\nca /etc/pki\n")
    (host.root / "run/st").mkdir(parents=True)
    (host.root / "etc/pki").mkdir()
    os.mkfifo(host.root / "var/log/pipe")
    discovery = host.discovery()
    (server,) = discovery.look().servers
    assert (server.status, server.log) == (None, None)
    assert discovery.found
    assert discovery.found.unreadable("vpn") == {
        **dict.fromkeys(KINDS, 0), "status": 1, "log": 1, "certificate": 1
    }  # fmt: skip


def test_a_host_without_a_journal(host: Host) -> None:
    host.file("/var/log/journal/0123/system.journal").unlink()
    run(host, SERVER)
    discovery = host.discovery()
    discovery.look()
    assert discovery.found
    verdicts = [access.verdict for access in discovery.found.accesses["vpn"] if access.source.kind == "journal"]
    assert verdicts == ["missing"]


def test_when_certificates_end(host: Host, tmp_path: Path) -> None:
    """The earliest of each file, read from files and inline blocks; openssl tells the truth."""
    need("openssl")
    pems, ends = [], []
    for days in (5, 3):
        command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days} -subj /CN=x"
        file = tmp_path / f"{days}.pem"
        subprocess.run([*command.split(), "-keyout", os.devnull, "-out", str(file)], check=True, capture_output=True)
        pems.append(file.read_text())
        shown = subprocess.run(
            ["openssl", "x509", "-in", str(file), "-noout", "-enddate", "-dateopt", "iso_8601"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        ends.append(datetime.fromisoformat(shown.strip().partition("=")[2]).timestamp())
    host.file("/etc/ca.crt", "".join(pems))
    run(host, SERVER + f"ca /etc/ca.crt\n<cert>\n{pems[0]}</cert>\ncrl-verify /etc/none.pem\n")
    discovery = host.discovery()
    discovery.look()
    assert discovery.found
    assert [(one.server, one.kind, one.time) for one in discovery.found.expiries] == [
        ("vpn", "ca", ends[1]),
        ("vpn", "cert", ends[0]),
    ]


def test_when_a_long_revocation_list_ends(host: Host) -> None:
    """Of a site that has revoked some ten thousands of certificates: two megabytes."""

    def element(tag: int, *parts: bytes) -> bytes:
        content = b"".join(parts)
        size = len(content).to_bytes(4, "big")
        return bytes([tag, 0x84]) + size + content

    revoked = element(0x30, *(element(0x30, element(0x02, number.to_bytes(20, "big"))) for number in range(70_000)))
    times = element(0x17, b"260101000000Z"), element(0x17, b"270101000000Z")
    der = element(0x30, element(0x30, element(0x30), element(0x30), *times, revoked))
    pem = f"-----BEGIN X509 CRL-----\n{base64.encodebytes(der).decode()}-----END X509 CRL-----\n"
    run(host, SERVER + "crl-verify /etc/crl.pem\n")
    host.file("/etc/crl.pem", pem)
    discovery = host.discovery()
    discovery.look()
    assert discovery.found
    assert [one.time for one in discovery.found.expiries] == [datetime(2027, 1, 1, tzinfo=UTC).timestamp()]


def test_a_look_that_hangs_is_a_fault(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that does not answer: the scrape goes on, and the collector says so."""
    now = [0.0]
    looking, answers = threading.Event(), threading.Event()
    discovery = host.discovery(clock=lambda: now[0])

    def hang() -> list[Instance]:
        looking.set()
        answers.wait(60)
        return []

    monkeypatch.setattr(host.finder, "find", hang)
    discovery.start(lambda _: None)
    try:
        assert looking.wait(60)
        assert discovery.fault is None
        now[0] = 121.0
        assert discovery.fault is not None
        assert "121 s: a file system does not answer" in discovery.fault
        answers.set()
        wait_until(lambda: discovery.fault is None, "the look has ended")
    finally:
        answers.set()
        discovery.stop()


def test_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("discovery: {management: true}\n")
    assert load(file) == POLLED
    for text, complaint in (
        ("discovery: {management: maybe}", "management"),
        ("discovery: {polling: true}", "polling"),
        ("discovery: {}\nservers: [{name: a, log: /a}]", "discovery has no effect beside servers"),
    ):
        file.write_text(text)
        with pytest.raises(BadInputError, match=complaint):
            load(file)
