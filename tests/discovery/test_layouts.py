"""Instances found on hosts laid out as distributions, products and administrators lay them out."""

import os
from pathlib import Path, PurePosixPath

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.processes import HiddenError
from tests.discovery.hosts import Host
from tests.support.hidepid import refusal

SERVER = "port 1194\nproto udp\ndev tun\nserver 10.8.0.0 255.255.255.0\ntopology subnet\nmax-clients 200\nverb 3\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_debian_server_unit(host: Host) -> None:
    """Everything is known although neither the process's folder nor its environment is for us to see."""
    host.file("/etc/openvpn/server/office.conf", SERVER)
    host.unit(500, "office")
    office = host.instances()["office"]
    assert office.mode == "server"
    assert office.unit == office.journal == "openvpn-server@office.service"
    assert office.config == "/etc/openvpn/server/office.conf"
    assert office.status == host.root / "run/openvpn-server/status-office.log"
    assert (office.options.status_interval, office.options.status_version) == (60, 2)
    assert (office.max_clients, office.options.verb, office.options.mute) == (200, 3, 0)
    assert office.log is None


def test_fedora_server_unit_with_a_closed_folder(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line and the unit say is known; what the file says is unknown, and not guessed."""
    host.file("/etc/openvpn/server/office.conf", SERVER)
    host.unit(500, "office")
    real = os.open

    def closed(path: object, *arguments: object, **options: object) -> int:
        if str(path).endswith("office.conf"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", closed)  # tests run as root, who may read everything
    office = host.instances()["office"]
    assert office.mode == "server"  # by the unit's name
    assert office.journal == "openvpn-server@office.service"
    assert office.status == host.root / "run/openvpn-server/status-office.log"
    assert (office.max_clients, office.address_pool_size) == (None, None)
    assert [fault.reason for fault in office.options.faults] == ["Permission denied"]


def test_a_drop_in_moves_the_folder(host: Host) -> None:
    host.file("/srv/vpn/office.conf", SERVER)
    host.unit(500, "office")
    host.file(
        "/etc/systemd/system/openvpn-server@office.service.d/10-move.conf", "[Service]\nWorkingDirectory=/srv/vpn\n"
    )
    assert host.instances()["office"].config == "/srv/vpn/office.conf"


# Of one file name, in the order in which systemd 252 takes them, as `systemctl show -P WorkingDirectory` told.
DROP_INS = [
    f"{folder}/{name}.d"
    for names in (
        ["openvpn-server@x.service", "openvpn-server@.service", "openvpn-.service", "openvpn-@x.service",
         "openvpn-@.service"],
        ["service"],
    )
    for folder in ("/etc/systemd/system", "/run/systemd/system")
    for name in names
]  # fmt: skip


@pytest.mark.parametrize("best", range(len(DROP_INS)))
def test_drop_ins_of_several_units(host: Host, best: int) -> None:
    """The name of a unit, that of its template, and both cut short behind a dash; last the type of all units."""
    host.unit(500, "x")
    for folder in DROP_INS[best:]:
        host.file(f"{folder}/a.conf", f"[Service]\nWorkingDirectory={folder}\n")
    host.file("/etc/systemd/system/openvpn-server-.service.d/b.conf", "[Service]\nWorkingDirectory=/wrong\n")
    host.file(f"{DROP_INS[best]}/x.conf", "client\n")
    assert host.only().config == f"{DROP_INS[best]}/x.conf"


def test_escaped_instance_names(host: Host) -> None:
    host.file("/etc/openvpn/server/new-york.conf", SERVER)
    argv = ["/usr/sbin/openvpn", "--config", "new-york.conf"]
    host.file("/usr/lib/systemd/system/openvpn-server@.service", "[Service]\nWorkingDirectory=/etc/openvpn/server\n")
    host.process(500, argv, cgroup=r"/system.slice/system-openvpn\x2dserver.slice/openvpn-server@new\x2dyork.service")
    assert host.only().name == "new-york"
    assert host.only().journal == r"openvpn-server@new\x2dyork.service"


def test_old_debian_unit(host: Host) -> None:
    """openvpn@NAME: a daemon with --cd, whose log is syslog, so the journal of its unit."""
    host.file("/etc/openvpn/tcp.conf", SERVER + "status tcp.log 5\n")
    argv = "/usr/sbin/openvpn --daemon ovpn-tcp --status /run/openvpn/tcp.status 10 --cd /etc/openvpn --config"
    host.process(500, [*argv.split(), "/etc/openvpn/tcp.conf", "--writepid", "/run/openvpn/tcp.pid"],
                 cgroup="/system.slice/system-openvpn.slice/openvpn@tcp.service")  # fmt: skip
    tcp = host.instances()["tcp"]
    assert (tcp.journal, tcp.options.syslog_tag) == ("openvpn@tcp.service", "ovpn-tcp")
    # The file comes after the command line's --status, and wins.
    assert (tcp.status, tcp.options.status_interval) == (host.root / "etc/openvpn/tcp.log", 5)


@pytest.mark.parametrize("log", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1"])
def test_a_log_that_is_its_own_output(host: Host, log: str) -> None:
    """From here such a path leads to the exporter's output; OpenVPN's is in the journal, where its unit writes."""
    host.file("/etc/openvpn/server/office.conf", f"{SERVER}log {log}\nstatus {log}\n")
    host.unit(500, "office")
    office = host.instances()["office"]
    assert (office.log, office.status) == (None, None)
    assert office.journal == "openvpn-server@office.service"


def test_a_log_and_a_status_file_that_nobody_wants(host: Host) -> None:
    """As the administrator gives them who wants neither; Debian's unit names a status file before."""
    host.file("/etc/openvpn/server/office.conf", f"{SERVER}log /dev/null\nstatus /dev/null\n")
    host.unit(500, "office")
    office = host.instances()["office"]
    assert (office.log, office.status, office.journal) == (None, None, None)


def test_a_daemon_by_hand(host: Host) -> None:
    """It has gone to / by itself, so its relative paths are not to be known; what is absolute is."""
    host.file("/root/vpn/my.conf", SERVER)
    argv = ["openvpn", "--daemon", "--log", "/var/log/my.log", "--config", "my.conf"]
    host.process(500, argv, cwd="/")
    found = host.only()
    assert found.log == host.root / "var/log/my.log"
    assert (found.journal, found.config, found.unit) == (None, "", "session-4.scope")
    assert [fault.path for fault in found.options.faults] == ["my.conf"]


def test_a_daemon_by_its_configuration(host: Host) -> None:
    """It has left its folder, too, as `daemon` in the file does the same."""
    host.file("/root/vpn/my.conf", SERVER + "daemon\n")
    host.process(500, ["openvpn", "my.conf"], cwd="/")
    host.file("/etc/other.conf", SERVER + "daemon\nstatus st.log\n")
    host.process(501, ["openvpn", "/etc/other.conf"], cwd="/")
    my, other = host.finder.find()
    assert [fault.path for fault in my.options.faults] == ["my.conf"]
    assert [fault.path for fault in other.options.faults] == ["st.log"]
    assert other.status is None


def test_in_the_foreground_by_hand(host: Host) -> None:
    """It prints to its terminal, which is nobody's log."""
    host.file("/root/vpn/my.conf", SERVER + "status st.log 5\n")
    host.process(500, ["openvpn", "my.conf"], cwd="/root/vpn")
    found = host.instances()["my"]
    assert (found.log, found.journal) == (None, None)
    assert found.status == host.root / "root/vpn/st.log"


def test_syslog_by_hand_is_in_the_journal_of_the_session(host: Host) -> None:
    host.process(500, ["openvpn", "--dev", "tun7", "--syslog", "site-a", "--mode", "server"], cwd="/")
    found = host.only()
    assert (found.name, found.journal, found.options.syslog_tag) == ("site-a", "session-4.scope", "site-a")


def test_everything_on_the_command_line_in_a_container(host: Host) -> None:
    """Its paths are those of its own root."""
    inside = host.procfs / "500" / "root"
    argv = "openvpn --dev tun0 --server 10.9.0.0 255.255.255.0 --topology subnet --status /st --ca /pki/ca.crt"
    more = ["--client-connect", "/bin/connect x", "--management", "0.0.0.0", "7505"]  # noqa: S104  # as containers do
    host.process(500, [*argv.split(), *more], cgroup="/system.slice/docker-0123456789abcdef.scope", cwd="/")
    found = host.only()
    assert (found.name, found.mode, found.journal) == ("tun0", "server", None)
    assert found.status == inside / "st"
    assert [(one.kind, found.outside(one.path)) for one in found.certificates] == [("ca", inside / "pki/ca.crt")]
    assert [script.words for script in found.options.scripts] == [("/bin/connect", "x")]
    assert found.options.management is not None
    assert found.options.management.address == TcpAddress("127.0.0.1", 7505)


def test_a_configuration_inside_a_container_that_cannot_be_entered(host: Host) -> None:
    host.process(500, ["openvpn", "--config", "/etc/openvpn/openvpn.conf"], cgroup="/kubepods/besteffort/pod1/abc")
    found = host.only()
    assert (found.name, found.mode, found.max_clients) == ("openvpn", "unknown", None)
    assert [fault.path for fault in found.options.faults] == ["/etc/openvpn/openvpn.conf"]


def test_access_server_reads_its_configuration_from_a_pipe(host: Host) -> None:
    """Several processes with the same words: each has a name of its own, and nothing is known of them."""
    for pid in (500, 501):
        argv = ["/usr/local/openvpn_as/sbin/openvpn-openssl", "--errors-to-stderr", "--config", "stdin"]
        host.process(pid, argv, comm="openvpn-openssl", cgroup="/system.slice/openvpnas.service", cwd="/")
    found = host.instances()
    assert set(found) == {"openvpnas", "openvpnas#2"}
    assert {one.mode for one in found.values()} == {"unknown"}
    assert {one.config for one in found.values()} == {"stdin"}
    assert found["openvpnas"].journal == "openvpnas.service"


def test_generated_files_in_which_everything_is_quoted(host: Host) -> None:
    """With a part for the management client, as such products have it: it is never to be polled."""
    host.file(
        "/opt/product/run/server_0.conf",
        '"server" "10.8.0.0" "255.255.255.0"\n"dev" "tun"\n"management" "/opt/product/sock/sagent" "unix"\n'
        '"management-client-auth"\n"management-hold"\n"plugin" "/opt/product/lib/plug.so" "a b"\n<ca>\nX\n</ca>\n'
        '"log-append" "/var/log/product.log"\n"status" "/opt/product/st"\n',
    )
    host.process(500, ["/opt/product/sbin/openvpn", "--config", "/opt/product/run/server_0.conf"], cwd="/opt")
    found = host.instances()["server_0"]
    assert found.options.management is not None
    assert found.options.management.address == UnixAddress("/opt/product/sock/sagent")
    assert found.options.management.part == ("management-client-auth", "management-hold")
    assert found.log == host.root / "var/log/product.log"
    assert [plugin.path for plugin in found.options.plugins] == ["/opt/product/lib/plug.so"]
    assert found.certificates[0].inline == "X\n"


def test_networkmanagers_client(host: Host) -> None:
    """The client of a desktop, whose management interface belongs to NetworkManager."""
    argv = (
        "/usr/sbin/openvpn --remote vpn.example.com 1194 --nobind --dev tun --dev-type tun --auth-nocache --tls-client "
        "--pull --syslog nm-openvpn --script-security 2 --up /usr/lib/NetworkManager/nm-openvpn-service-openvpn-helper "
        "--up-restart --persist-key --persist-tun --management /var/run/NetworkManager/nm-openvpn-1b2c unix "
        "--management-client-user root --management-client-group root --management-query-passwords "
        "--auth-retry interact --route-noexec --ifconfig-noexec --client --user nm-openvpn --group nm-openvpn "
        "--chroot /var/lib/openvpn/chroot"
    )
    host.process(500, argv.split(), cgroup="/system.slice/NetworkManager.service", cwd="/")
    found = host.only()
    assert (found.name, found.mode, found.journal) == ("nm-openvpn", "client", "NetworkManager.service")
    assert found.options.management is not None
    assert "management-query-passwords" in found.options.management.part


def test_two_of_one_name(host: Host) -> None:
    """The server has the plain name, whichever was started first; after a restart the names are the same."""
    host.file("/etc/openvpn/client/vpn.conf", "client\nremote example.com\n")
    host.file("/etc/openvpn/server/vpn.conf", SERVER)
    host.unit(500, "vpn", kind="client")
    host.unit(600, "vpn", kind="server")
    assert {name: one.mode for name, one in host.instances().items()} == {"vpn": "server", "client/vpn": "client"}
    host.end(500)
    host.end(600)
    host.unit(700, "vpn", kind="server")
    host.unit(800, "vpn", kind="client")
    assert {name: one.mode for name, one in host.instances().items()} == {"vpn": "server", "client/vpn": "client"}


def test_who_has_a_name_keeps_it(host: Host) -> None:
    """Also when somebody comes who would have got it, had both come at once."""
    host.file("/etc/openvpn/vpn.conf", SERVER)
    host.process(500, ["openvpn", "--config", "/etc/openvpn/vpn.conf"], cwd="/")
    assert set(host.instances()) == {"vpn"}
    host.file("/etc/aaa/vpn.conf", SERVER)
    host.process(501, ["openvpn", "--config", "/etc/aaa/vpn.conf"], cwd="/")
    assert {name: one.config for name, one in host.instances().items()} == {
        "vpn": "/etc/openvpn/vpn.conf",
        "aaa/vpn": "/etc/aaa/vpn.conf",
    }
    host.end(500)
    assert {name: one.config for name, one in host.instances().items()} == {"aaa/vpn": "/etc/aaa/vpn.conf"}


def test_one_file_for_two_processes(host: Host) -> None:
    """They differ by what the command line adds."""
    host.file("/etc/openvpn/vpn.conf", SERVER)
    for pid, port in ((500, "1194"), (501, "1195")):
        host.process(pid, ["openvpn", "--config", "/etc/openvpn/vpn.conf", "--port", port], cwd="/")
    assert {name: one.options.port for name, one in host.instances().items()} == {"vpn": "1194", "openvpn/vpn": "1195"}


def test_the_name_is_that_of_the_hooks_record(host: Host) -> None:
    host.file("/etc/openvpn/vpn.conf", SERVER + 'client-connect "/usr/bin/openvpn-mq-hook --server berlin -- /x"\n')
    host.process(500, ["openvpn", "--config", "/etc/openvpn/vpn.conf"], cwd="/")
    berlin = host.instances()["berlin"]
    assert berlin.records == (host.root / "var/log/openvpn-mq/hooks.jsonl",)


def test_records_of_wrapped_scripts(host: Host) -> None:
    """Also inside a chroot, also by way of an interpreter; a script of the site's own has none."""
    text = (
        "chroot /jail\n"
        'client-connect "/usr/bin/python3 /usr/bin/openvpn-mq-hook --record /log/a.jsonl -- /x"\n'
        'client-disconnect "/usr/bin/openvpn-mq-hook --record=/log/a.jsonl --queue 0x5"\n'
        "learn-address /x/learn\n"
    )
    host.file("/etc/openvpn/vpn.conf", SERVER + text)
    host.process(500, ["openvpn", "--config", "/etc/openvpn/vpn.conf"], cwd="/")
    assert host.only().records == (host.root / "jail/log/a.jsonl",)


def test_a_file_that_changes_while_it_runs(host: Host) -> None:
    """A new text counts; a text that is gone or half written does not make what is known unknown."""
    file = host.file("/etc/openvpn/server/office.conf", SERVER)
    host.unit(500, "office")
    assert host.instances()["office"].max_clients == 200
    host.file("/etc/openvpn/server/office.conf", SERVER.replace("200", "300"))
    assert host.instances()["office"].max_clients == 300
    host.file("/etc/openvpn/server/office.conf", SERVER + "<ca>\nhalf")
    assert host.instances()["office"].max_clients == 300
    file.unlink()
    assert host.instances()["office"].max_clients == 300
    host.end(500)
    host.unit(501, "office")  # started anew: nobody knows with what
    assert host.instances()["office"].max_clients is None


def test_what_is_no_openvpn(host: Host) -> None:
    """Our own programs, a script of that name, standalone modes, a zombie, and OpenVPN's own forks."""
    host.process(500, ["/usr/bin/python3", "/usr/bin/openvpn-mq-exporter"], comm="openvpn-mq-expo")
    host.process(501, ["/bin/sh", "/etc/init.d/openvpn", "start"], comm="openvpn")
    host.process(502, ["openvpn", "--genkey", "secret", "/x"])
    host.process(503, ["openvpn", "--version"])
    host.process(504, ["openvpn", "--dev", "tun1"], state="Z")
    host.process(505, [], comm="openvpn")
    assert host.instances() == {}
    host.process(600, ["openvpn", "--dev", "tun2"], cwd="/")
    host.process(601, ["openvpn", "--dev", "tun2"], parent=600)  # on its way to a script
    host.process(602, ["openvpn", "--dev", "tun3"], parent=600, cwd="/")  # a server that a script started
    assert [one.process.pid for one in host.instances().values()] == [600, 602]


def test_hidden_processes_are_an_error(host: Host) -> None:
    host.end(1)
    with pytest.raises(HiddenError, match="hidepid"):
        host.finder.find()


@pytest.mark.parametrize("mode", ["noaccess", "invisible"])
def test_a_proc_that_is_closed_to_others_is_one(mode: str) -> None:
    """With noaccess, each process is there, and nothing of it can be read."""
    imports = "from pathlib import Path; from exporter.discovery.processes import HiddenError, find_processes"
    message = refusal(imports, "find_processes(Path('/proc'))", "HiddenError", mode)
    assert message == "/proc hides the processes of other users (hidepid)\n"


def test_version_of_the_program_file(host: Host) -> None:
    """By its text; not if it was replaced since the process began, not if it is another program."""
    title = "\0OpenVPN 2.7_rc1 x86_64-pc-linux-gnu [SSL (OpenSSL)]\0"
    host.file("/opt/new/openvpn", title)
    host.file("/opt/none/openvpn", "OpenVPN -- An application")
    future = 10**12
    host.process(500, ["/opt/new/openvpn", "--dev", "tun1"], cwd="/", start_ticks=future)
    host.process(501, ["/opt/new/openvpn", "--dev", "tun2"], cwd="/", start_ticks=0)
    host.process(502, ["/opt/none/openvpn", "--dev", "tun3"], cwd="/", start_ticks=future)
    host.process(503, ["openvpn", "--dev", "tun4"], cwd="/", start_ticks=future)
    versions = {name: one.version for name, one in host.instances().items()}
    assert versions == {"tun1": "2.7_rc1", "tun2": "", "tun3": "", "tun4": ""}


@pytest.mark.parametrize(
    ("words", "inside", "config"),
    [
        ("--config a.conf", "cd /etc/openvpn/keys\n", ""),
        ("--config a.conf", "cd keys\n", ""),
        ("--cd keys --config a.conf", "", ""),
        ("--config a.conf --cd /etc/openvpn/keys", "", ""),
        ("--cd /etc/openvpn/keys --config b.conf", "", "/etc/openvpn/keys/b.conf"),
        ("--config /etc/openvpn/keys/b.conf", "", "/etc/openvpn/keys/b.conf"),
    ],
)
def test_a_folder_that_was_left(host: Host, words: str, inside: str, config: str) -> None:
    """The present folder is not where it was started: a relative path is not known, and never another file."""
    host.file("/etc/openvpn/a.conf", SERVER + inside)
    host.file("/etc/openvpn/keys/b.conf", SERVER)
    host.process(500, ["openvpn", *words.split()], cwd="/etc/openvpn/keys")
    options = host.only().options
    assert str(options.config or "") == config
    assert all("is not known" in fault.reason for fault in options.faults)
    assert bool(options.faults) == (not config)


def test_a_folder_with_another_file_of_that_name(host: Host) -> None:
    """It leads elsewhere, so it is not the one that was read."""
    host.file("/etc/openvpn/keys/a.conf", SERVER + "cd /srv\n")
    host.process(500, ["openvpn", "--config", "a.conf"], cwd="/etc/openvpn/keys")
    assert (host.only().options.config, host.only().mode) == (None, "unknown")


def test_mode_by_the_status_file_if_the_configuration_is_closed(host: Host) -> None:
    """openvpn@ names a status file for servers and clients alike."""
    for pid, name, text in ((500, "a", "OpenVPN STATISTICS\n"), (501, "b", "TITLE,OpenVPN 2.6\n"), (502, "c", "")):
        host.file(f"/run/openvpn/{name}.status", text)
        argv = ["openvpn", "--status", f"/run/openvpn/{name}.status", "10", "--config", f"/etc/openvpn/{name}.conf"]
        host.process(pid, argv, cwd="/")
    assert {name: one.mode for name, one in host.instances().items()} == {"a": "client", "b": "server", "c": "unknown"}


def test_a_pipe_in_place_of_a_configuration_is_not_waited_for(host: Host) -> None:
    host.file("/etc/openvpn/x")
    os.mkfifo(host.root / "etc/openvpn/pipe.conf")
    host.process(500, ["openvpn", "--config", "/etc/openvpn/pipe.conf"], cwd="/")
    assert [fault.path for fault in host.only().options.faults] == [str(PurePosixPath("/etc/openvpn/pipe.conf"))]


def test_cgroup_version_1(host: Host) -> None:
    host.process(500, ["openvpn", "--dev", "tun1"], cwd="/")
    text = "12:memory:/system.slice/x.service\n1:name=systemd:/system.slice/openvpn@a.service\n0::/\n"
    (host.procfs / "500" / "cgroup").write_text(text)
    assert host.only().unit == "openvpn@a.service"


def test_a_user_service_has_no_journal_that_its_unit_would_find(host: Host) -> None:
    group = "/user.slice/user-1000.slice/user@1000.service/app.slice/my-vpn.service"
    host.process(500, ["openvpn", "--dev", "tun1"], cwd="/", cgroup=group)
    assert (host.only().unit, host.only().journal) == ("my-vpn.service", None)


def test_names_that_are_not_utf8(host: Host) -> None:
    """They can be written as labels, as openvpn-mq-hook writes them; the files are found by their bytes."""
    name = os.fsdecode(b"b\xfcro")
    host.file(f"/etc/openvpn/{name}.conf", SERVER)
    host.process(500, ["openvpn", "--config", f"/etc/openvpn/{name}.conf"], cwd="/")
    found = host.only()
    assert (found.name, found.config) == ("b\ufffdro", "/etc/openvpn/b\ufffdro.conf")
    assert found.max_clients == 200


def test_an_escaped_name_that_is_not_ascii(host: Host) -> None:
    """systemd escapes bytes, of which a letter can have several."""
    host.file("/usr/lib/systemd/system/vpn@.service", "[Service]\nWorkingDirectory=/etc/openvpn/%I\n")
    host.file("/etc/openvpn/büro/x.conf", SERVER)
    host.process(500, ["openvpn", "--config", "x.conf"], cgroup=r"/system.slice/vpn@b\xc3\xbcro.service")
    assert host.only().config == "/etc/openvpn/büro/x.conf"
    assert host.only().max_clients == 200
