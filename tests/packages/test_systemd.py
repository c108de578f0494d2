"""The package on a Debian host with a real systemd: README's installation word for word, and what follows it.

Inside runs OpenVPN's own unit with a client that connects and one that a script refuses.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine, machine
from tests.support.markdown import section_blocks
from tests.support.needs import need
from tests.support.openvpn import pki
from tests.support.program import Samples, samples

ROOT = Path(__file__).parents[2]
FOLDER = "/etc/openvpn/server"
SERVER = f"""
port 1194
proto udp
dev tun
server 10.8.0.0 255.255.255.0
topology subnet
dh none
ca ca.crt
cert server.crt
key server.key
keepalive 1 5
max-clients 50
script-security 2
client-connect {FOLDER}/connect.sh
management /run/openvpn-server/server.sock unix
verb 3
disable-dco
"""
CONNECT = '#!/bin/sh\ntest "$common_name" != bob\n'
NETWORK = """
ip netns add client
ip link add v0 type veth peer name v1 netns client
ip addr add 10.200.0.1/24 dev v0
ip link set v0 up
ip -n client link set lo up
ip -n client addr add 10.200.0.2/24 dev v1
ip -n client link set v1 up
"""
CLIENT = "client\ndev tun\nremote 10.200.0.1 1194 udp\nnobind\nverb 3\ndisable-dco\nremote-cert-tls server\n"
QUEUE = """
import sys
sys.path.insert(0, "/usr/lib/openvpn-mq-exporter")
import sysv_ipc
queue = sysv_ipc.MessageQueue(0x4f560001, sysv_ipc.IPC_CREAT, mode=0o600, max_message_size=8192)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("machine")]


def build(target: str) -> Path:
    """Build a package as `make deb` or `make rpm` does, under another make too, whose flags this one inherits."""
    command = ["make", "--no-print-directory", target]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return Path(built.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def package() -> Path:
    """What `make deb` builds."""
    need("lintian")
    return build("deb")


def test_the_same_commit_gives_the_same_package(package: Path, tmp_path: Path) -> None:
    """In another folder, at another time; and nothing in it tells where it was built."""
    first = package.read_bytes()
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".tools", "dist", "__pycache__"))
    command = [sys.executable, "-m", "packages.build", "deb"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    built = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=True)
    assert Path(built.stdout.splitlines()[-1]).read_bytes() == first
    subprocess.run(["dpkg-deb", "-R", package, tmp_path / "unpacked"], check=True)
    found = subprocess.run(["grep", "-rl", str(ROOT), tmp_path / "unpacked"], capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (1, b"")


@pytest.fixture
def host(package: Path) -> Iterator[Machine]:
    """A host with OpenVPN as Debian ships it, a client connected, and the package in root's home."""
    with machine() as started:
        started.run("mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush")
        authority = pki()
        for name, usage in (("server", "serverAuth"), ("alice", "clientAuth"), ("bob", "clientAuth")):
            for line in authority.options(name, usage=usage):
                kind, _, path = line.partition(" ")
                file = f"{name}.{kind.replace('cert', 'crt')}" if kind != "ca" else "ca.crt"
                started.write(f"{FOLDER}/{file}", Path(path).read_text(), 0o600 if kind == "key" else 0o644)
        started.write(f"{FOLDER}/server.conf", SERVER)
        started.write(f"{FOLDER}/connect.sh", CONNECT, 0o755)
        start_openvpn(started)
        started.write(f"/root/{package.name}", "")
        (started.root / "root" / package.name).write_bytes(package.read_bytes())
        yield started


def start_openvpn(host: Machine) -> None:
    host.run(NETWORK)
    host.run("systemctl enable --now openvpn-server@server")
    connect(host, "alice")
    host.wait("journalctl -u openvpn-server@server | grep -q 'alice.*Data Channel'", "alice is connected")


def connect(host: Machine, name: str) -> None:
    files = f"ca {FOLDER}/ca.crt\ncert {FOLDER}/{name}.crt\nkey {FOLDER}/{name}.key\n"
    host.write(f"/root/{name}.conf", CLIENT + files)
    host.run(f"ip netns exec client openvpn --config /root/{name}.conf --daemon {name} --writepid /run/{name}.pid")


def refuse(host: Machine) -> None:
    """Let the script refuse bob once."""
    marker = "client-connect): external program exited with error status: 1"
    before = int(host.run(f"journalctl -u openvpn-server@server | grep -c '{marker}' || true"))
    connect(host, "bob")
    host.wait(
        f"test $(journalctl -u openvpn-server@server | grep -c '{marker}') -gt {before}; kill $(cat /run/bob.pid)",
        "bob is refused",
    )


def install(host: Machine) -> str:
    """Type what the README says; return what the last line printed."""
    (block,) = section_blocks((ROOT / "README.md").read_text(), "Install on your VPN host", "sh")
    assert len(block.strip().splitlines()) <= 10
    return host.run(block, 300)


def page(host: Machine) -> Samples:
    return samples(host.run("curl -s http://localhost:10049/metrics"))


def value(host: Machine, name: str, **labels: str) -> float | None:
    return page(host).get((name, frozenset(labels.items())))


def eventually(host: Machine, expected: float, name: str, **labels: str) -> None:
    deadline = time.monotonic() + 60
    while (found := value(host, name, **labels)) != expected:
        assert time.monotonic() < deadline, (name, labels, found, host.run("journalctl -u openvpn-mq-exporter -n 30"))
        time.sleep(0.5)


def test_from_nothing_to_every_number(host: Machine) -> None:
    """Installation as documented, then right numbers from every collector that it promises; reboot; upgrade; purge."""
    printed = install(host)
    successes = dict(re.findall(r'collector_success\{collector="(\w+)"\} (\d)', printed))
    promised = {"queues", "limits", "waiters", "log", "management", "status", "discovery"}
    assert promised <= successes.keys(), printed
    assert set(successes.values()) == {"1"}, host.run("journalctl -u openvpn-mq-exporter -n 40")
    everything_is_right(host)
    nothing_else_is_open(host)
    assert host.run("stat -c '%U %a' /var/log/openvpn") == "root 755\n"  # as Debian's own package of OpenVPN made it

    reloads(host)

    # Neither lost nor counted twice: what was logged before the exporter's end, and between that and the reboot.
    host.run("systemctl stop openvpn-mq-exporter")
    refuse(host)
    host.reboot()
    start_openvpn(host)
    host.wait("systemctl is-active openvpn-mq-exporter", "it comes back")
    eventually(host, 1, "openvpn_server_connected_clients", server="server")
    failures = {"server": "server", "hook": "client-connect", "reason": "exit_status"}
    eventually(host, 1, "openvpn_script_failures_total", **failures)
    refuse(host)
    eventually(host, 2, "openvpn_script_failures_total", **failures)

    upgrade(host)
    eventually(host, 1, "openvpn_server_connected_clients", server="server")
    purge(host)


def everything_is_right(host: Machine) -> None:
    eventually(host, 1, "openvpn_server_connected_clients", server="server")
    eventually(host, 1, "openvpn_management_up", server="server")
    eventually(host, 1, "openvpn_status_state", server="server", state="ok")
    assert value(host, "openvpn_max_clients", server="server") == 50
    failures = {"server": "server", "hook": "client-connect", "reason": "exit_status"}
    before = value(host, "openvpn_script_failures_total", **failures)
    assert before is not None
    refuse(host)
    eventually(host, before + 1, "openvpn_script_failures_total", **failures)
    host.write("/root/fill.py", QUEUE + "queue.send(b'x' * 8192)\nqueue.send(b'x' * 8192)\nqueue.send(b'x')\n")
    host.run("systemd-run --unit=fill python3 /root/fill.py")
    queue = {"queue": "0x4f560001"}
    eventually(host, 1, "sysv_msg_queue_blocked_senders", **queue)
    assert value(host, "sysv_msg_queue_bytes", **queue) == 16384
    assert value(host, "sysv_msg_queue_limit_bytes", **queue) == 16384
    assert value(host, "sysv_msg_queue_max_fill_ratio") == 1


def nothing_else_is_open(host: Machine) -> None:
    """The service runs as its own user, and sees OpenVPN's configuration, but no keys and no shadow passwords."""
    pid = host.run("systemctl show -P MainPID openvpn-mq-exporter").strip()
    assert host.run(f"stat -c %U /proc/{pid}").strip() == "openvpn-mq-exporter"
    for path in (f"{FOLDER}/server.key", "/etc/shadow", "/root/alice.conf"):
        assert host.attempt(f"nsenter -t {pid} -m ls {path}").returncode != 0, path
    assert host.run(f"nsenter -t {pid} -m cat {FOLDER}/server.conf") == SERVER
    for unit, limit in (("openvpn-mq-waiters.service", 1.5), ("openvpn-mq-trace.service", 3.0)):
        assert exposure(host, f"/usr/lib/systemd/system/{unit}") <= limit
    assert exposure(host, "/usr/lib/systemd/system/openvpn-mq-exporter.service") <= 2.0  # with access.conf
    host.run("cp /usr/lib/systemd/system/openvpn-mq-exporter.service /root/base.service")
    assert exposure(host, "/root/base.service") <= 1.5
    assert host.run("openvpn-mq-check --format plugin || true").strip()


def reloads(host: Machine) -> None:
    """With a configuration that is good; that is not; that an editor replaced, so that the service has the old one."""
    successful = "openvpn_mq_exporter_config_last_reload_successful"
    host.run("systemctl reload openvpn-mq-exporter")
    assert value(host, successful) == 1
    for change, undo in (("echo 'serverz: []' >> FILE", "sed '$d' FILE > x; cat x > FILE"), ("sed -i s/a/a/ FILE", "")):
        host.run(change.replace("FILE", "/etc/openvpn-mq-exporter.yml"))
        assert host.attempt("systemctl reload openvpn-mq-exporter").returncode != 0
        eventually(host, 0, successful)
        host.run("systemctl is-active openvpn-mq-exporter")
        if undo:
            host.run(undo.replace("FILE", "/etc/openvpn-mq-exporter.yml"))
            host.run("systemctl reload openvpn-mq-exporter")
            eventually(host, 1, successful)
    host.run("systemctl restart openvpn-mq-exporter")
    eventually(host, 1, successful)


def exposure(host: Machine, unit: str) -> float:
    judged = host.run(f"systemd-analyze security --offline=true --no-pager {unit}")
    found = re.search(r"exposure level for \S+: ([\d.]+)", judged)
    assert found, judged
    return float(found[1])


def upgrade(host: Machine) -> None:
    """To a later version, whose own configuration file has changed as well: the site's stays, the state goes on."""
    host.run(
        "dpkg-deb -R openvpn-mq-exporter_*.deb later; sed -i 's/^Version: .*/Version: 99-1/' later/DEBIAN/control;"
        "echo '# new' >> later/etc/openvpn-mq-exporter.yml; dpkg-deb -b later later.deb"
    )
    before = host.run("cat /etc/openvpn-mq-exporter.yml")
    pid = host.run("systemctl show -P MainPID openvpn-mq-exporter")
    host.run("apt-get install -y -o Dpkg::Options::=--force-confold ./later.deb")
    assert host.run("cat /etc/openvpn-mq-exporter.yml") == before
    host.wait("systemctl is-active openvpn-mq-exporter", "it runs after the upgrade")
    assert host.run("systemctl show -P MainPID openvpn-mq-exporter") != pid
    assert host.run("ls /var/lib/openvpn-mq-exporter").strip()


def purge(host: Machine) -> None:
    """Refused while OpenVPN's configuration names the hook; then nothing is left."""
    wrapped = SERVER.replace("client-connect ", 'client-connect "/usr/bin/openvpn-mq-hook -- ').replace(
        "connect.sh", 'connect.sh"'
    )
    host.write(f"{FOLDER}/server.conf", wrapped)
    refused = host.attempt("apt-get purge -y openvpn-mq-exporter")
    assert refused.returncode != 0
    assert "openvpn-mq-hook" in refused.stderr + refused.stdout
    host.run("systemctl is-active openvpn-mq-exporter; test -x /usr/bin/openvpn-mq-hook")
    host.write(f"{FOLDER}/server.conf", SERVER)
    removed_and_installed_again(host)
    host.run("rm -rf later later.deb openvpn-mq-exporter_*.deb; apt-get purge -y openvpn-mq-exporter")
    left = host.run("find / -xdev -name '*openvpn-mq*' -not -path '/proc/*' -not -path '/var/log/journal/*'")
    assert left == ""
    assert host.attempt("getent passwd openvpn-mq-exporter").returncode != 0
    assert "openvpn-mq" not in host.run("systemctl list-units --all --no-legend; systemctl --failed --no-legend")


def removed_and_installed_again(host: Machine) -> None:
    """What was enabled runs again; what was not, does not."""
    host.run("apt-get remove -y openvpn-mq-exporter")
    assert "openvpn-mq" not in host.run("systemctl list-units --no-legend; systemctl --failed --no-legend")
    host.run("apt-get install -y ./later.deb")
    host.run("systemctl is-active openvpn-mq-exporter.service openvpn-mq-waiters.socket")
    assert host.attempt("systemctl is-active openvpn-mq-trace.service").returncode != 0
    eventually(host, 1, "openvpn_server_connected_clients", server="server")


def test_nothing_to_complain_about(package: Path) -> None:
    """Lintian finds nothing but what the package explains."""
    judged = subprocess.run(
        ["lintian", "--fail-on", "error,warning", str(package)], capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stdout
    assert re.findall(r"^[EW]: .*", judged.stdout, re.MULTILINE) == []


def test_the_rpm_holds_the_same_files(package: Path) -> None:
    """As far as it can be tried here: the same files, and scripts that the shell can read."""
    need("rpm")
    listed = subprocess.run(
        ["rpm", "-qpl", build("rpm")], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    contents = subprocess.run(["dpkg-deb", "-c", str(package)], capture_output=True, text=True, check=True).stdout
    files = {line.split(" -> ")[0].split()[5][1:] for line in contents.splitlines() if not line.startswith("d")}
    assert files == {name for name in listed if name in files}
    for script in (ROOT / "packages" / "scripts").iterdir():
        subprocess.run(["sh", "-n", str(script)], check=True)
