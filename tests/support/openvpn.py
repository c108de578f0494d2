"""A real OpenVPN server and real clients, in network namespaces that nobody else uses.

    with Lab() as lab:
        server = lab.server("client-connect /some/script")
        lab.client("alice").wait_connected()
        lab.client("mallory", f"auth-user-pass {path}").wait_refused()
        server.run("ping", "-c1", "10.8.0.2")

Everything of a lab (namespaces, devices, processes, files) is gone when the block is left.
"""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.needs import need, need_root

PORT = 1194
TUNNEL = "10.8.0.0 255.255.255.0"  # the server has 10.8.0.1 in it
SERVER_ADDRESS = "10.200.0.1"
SERVER_ADDRESS6 = "fd00:200::1"
PATIENCE = 60.0  # seconds; the machines that run this can be slow, and waiting is never what a test asserts

_numbers = itertools.count()


def wait_until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Poll until it holds; AssertionError that says `what` was waited for."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(0.02)


class Pki:
    """A certificate authority in a folder, with certificates made as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "req.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
        self._certificate("ca", "ca", "basicConstraints=critical,CA:TRUE", signed=False)

    def options(self, name: str, *, usage: str = "clientAuth") -> list[str]:
        """The lines ca, cert and key of OpenVPN's configuration for the common name."""
        stem = name.encode().hex()  # a name may hold what a path may not
        if not (self._folder / f"{stem}.crt").exists():
            self._certificate(stem, name, f"extendedKeyUsage={usage}", "keyUsage=digitalSignature", signed=True)
        return [f"ca {self._folder}/ca.crt", f"cert {self._folder}/{stem}.crt", f"key {self._folder}/{stem}.key"]

    def expired(self, name: str) -> list[str]:
        """Return the lines cert and key of a certificate that has ended."""
        stem = f"expired-{name.encode().hex()}"
        if not (self._folder / f"{stem}.crt").exists():
            self.options(name)
            own = name.encode().hex()
            self._openssl(
                *("req", "-new", "-config", "req.cnf", "-key", f"{own}.key"),
                *("-subj", f"/CN={name}", "-out", f"{stem}.csr"),
            )
            with tempfile.TemporaryDirectory() as folder:
                self._openssl(
                    *("ca", "-config", str(self._ca_config(Path(folder))), "-batch", "-notext"),
                    *("-in", f"{stem}.csr", "-out", f"{stem}.crt"),
                    *("-startdate", "20200101000000Z", "-enddate", "20200102000000Z"),
                )
        return [f"cert {self._folder}/{stem}.crt", f"key {self._folder}/{name.encode().hex()}.key"]

    def crl(self, *revoked: str, hours: int = 24) -> Path:
        """Return a new revocation list with the certificates of these common names, which ends after `hours`."""
        with tempfile.TemporaryDirectory() as folder:  # of one list: others revoke nothing here
            config = self._ca_config(Path(folder))
            for name in revoked:
                self.options(name)
                self._openssl("ca", "-config", str(config), "-revoke", f"{name.encode().hex()}.crt")
            path = self._folder / f"crl-{next(_numbers)}.pem"
            self._openssl("ca", "-config", str(config), "-gencrl", "-crlhours", str(hours), "-out", str(path))
        path.chmod(0o644)
        return path

    def _ca_config(self, folder: Path) -> Path:
        (folder / "index").touch()
        config = folder / "ca.cnf"
        config.write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\n"
            f"default_md=sha256\npolicy=p\ncertificate={self._folder}/ca.crt\nprivate_key={self._folder}/ca.key\n"
            "x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
        )
        return config

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    def _certificate(self, stem: str, name: str, *extensions: str, signed: bool) -> None:
        authority = ["-CA", "ca.crt", "-CAkey", "ca.key"] if signed else []
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subject = "/CN=" + name.replace("\\", "\\\\").replace("/", "\\/").replace("+", "\\+")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-config", "req.cnf", *authority, *key, "-days", "2"),
                *("-utf8", "-subj", subject, *(word for extension in extensions for word in ("-addext", extension))),
                *("-keyout", f"{stem}.key", "-out", f"{stem}.crt"),
            ],
            cwd=self._folder, check=True, capture_output=True,
        )  # fmt: skip


@functools.cache
def pki() -> Pki:
    """One authority for the whole run of the tests."""
    folder = tempfile.mkdtemp(prefix="mq-pki-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Pki(Path(folder))


class Namespace:
    """A network namespace with its loopback up."""

    def __init__(self, name: str) -> None:
        self.name = name
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")

    def command(self, *command: str) -> list[str]:
        """The command line that runs `command` inside; execs, so that the process is the command itself."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end; its exit status is the caller's to look at."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, check=False, timeout=PATIENCE)

    def delete(self) -> None:
        _ip("netns", "del", self.name)


class OpenVpn:
    """An openvpn process in a namespace, with the files that it writes."""

    def __init__(
        self,
        name: str,
        namespace: Namespace,
        folder: Path,
        lines: list[str],
        output: int | IO[bytes] | None,
        before: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.log = folder / f"{name}.log"
        self.status = folder / f"{name}.status"
        self.management = folder / f"{name}.sock"
        self.config = folder / f"{name}.conf"
        if output is None:
            self.log.touch()
            lines = [f"log-append {self.log}", *lines]
        self.config.write_text("".join(line + "\n" for line in lines))
        self.process = subprocess.Popen(
            [*before, *namespace.command("openvpn", "--config", str(self.config))],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the process's namespace, as `ping -c1 10.8.0.1`."""
        return self.namespace.run(*command)

    def version(self) -> str:
        """OpenVPN's version, as 2.6.3."""
        return self.run("openvpn", "--version").stdout.split()[1]

    def text(self) -> str:
        """The whole log; empty where the output went elsewhere."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, text: str, times: int = 1, patience: float = PATIENCE) -> None:
        """Wait until the log has the text so many times."""
        with contextlib.suppress(AssertionError):  # told below, with the log
            wait_until(lambda: self.text().count(text) >= times or self.ended(), "", patience)
        assert self.text().count(text) >= times, f"{self.name} never said {text!r} {times} times:\n{self.text()}"

    def wait_connected(self, patience: float = PATIENCE) -> None:
        """Wait until the tunnel is up."""
        self.wait_for("Initialization Sequence Completed", patience=patience)

    def wait_refused(self, patience: float = PATIENCE) -> None:
        """Wait until the server has said no; the client then ends by itself."""
        self.wait_for("AUTH_FAILED", patience=patience)
        self.process.wait(patience)

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait for its end; a second time does nothing."""
        if not self.ended():
            self.process.send_signal(signal.SIGCONT)  # a test may have stopped it
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Lab:
    """A namespace for the server, one that clients share, and one of its own for each client that asks for it."""

    def __init__(self) -> None:
        need_root()
        need("openvpn", "ip", "nsenter", "openssl", "ping")
        if not Path("/dev/net/tun").exists():
            Path("/dev/net").mkdir(exist_ok=True)
            os.mknod("/dev/net/tun", 0o20600, os.makedev(10, 200))
        self._prefix = f"mq-{os.getpid()}-{next(_numbers)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self._prefix}-"))
        self.folder.chmod(0o755)  # scripts may run as somebody else
        self._namespaces: list[Namespace] = []
        self._processes: list[OpenVpn] = []
        self._shared: Namespace | None = None

    def __enter__(self) -> Self:
        try:
            self._server_namespace = self._namespace("server")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, clients first; remove namespaces (their devices go with them) and files."""
        for process in reversed(self._processes):
            process.stop()
        for namespace in self._namespaces:
            namespace.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def server(
        self, *lines: str, name: str = "server", output: int | IO[bytes] | None = None, before: Sequence[str] = ()
    ) -> OpenVpn:
        """Start a server and wait until it listens; `lines` are added to its configuration, the last one wins.

        It logs to `.log` with log-append, unless `output` says where its standard output goes. `before` is a command
        that runs it. It answers on the
        unix socket `.management` and rewrites `.status` (version 2) every second.
        """
        stem = self.folder / name
        config = [
            *("proto udp", f"port {PORT}", "dev tun0", f"server {TUNNEL}", "topology subnet", "dh none"),
            *("keepalive 10 60", "script-security 2", "verb 3", "disable-dco", "duplicate-cn"),
            *(f"status {stem}.status 1", "status-version 2"),
            *pki().options("server", usage="serverAuth"),
        ]
        if not any(line.startswith("management ") for line in lines):
            # Not overridden by a later line: OpenVPN would not forget the word `unix`.
            config.append(f"management {stem}.sock unix")
        server = OpenVpn(name, self._server_namespace, self.folder, [*config, *lines], output, before)
        self._processes.append(server)
        tables = [Path(f"/proc/{server.process.pid}/net/{table}") for table in ("udp", "udp6", "tcp", "tcp6")]

        def listens() -> bool:
            sockets = "".join(table.read_text() for table in tables if table.exists())
            return f":{PORT:04X} " in sockets and "tun0" in Path(f"/proc/{server.process.pid}/net/dev").read_text()

        wait_until(lambda: server.ended() or listens(), f"the server listens:\n{server.text()}")
        assert not server.ended(), f"the server ended:\n{server.text()}"
        return server

    def client(self, name: str, *lines: str, alone: bool = False, ipv6: bool = False, tcp: bool = False) -> OpenVpn:
        """Start a client with a certificate for the common name `name`; `lines` are added to its configuration.

        Clients share a namespace, each with a tun device of its own, unless `alone` gives it one by itself (then
        plain `ping 10.8.0.1` goes through its tunnel; else add `-I` and the device, `.device`).
        """
        if alone:
            namespace = self._namespace(f"c{len(self._namespaces)}")
        else:
            namespace = self._shared = self._shared or self._namespace("clients")
        number = len(self._processes)
        protocol = "tcp-client" if tcp else "udp"
        remote = f"remote {SERVER_ADDRESS6} {PORT} udp6" if ipv6 else f"remote {SERVER_ADDRESS} {PORT} {protocol}"
        config = [
            *("client", f"dev tun{number}", remote, "nobind", "verb 3", "disable-dco", "remote-cert-tls server"),
            *("connect-retry 1 1", "server-poll-timeout 30", "explicit-exit-notify 1"),
            *pki().options(name),
        ]
        client = OpenVpn(f"client{number}", namespace, self.folder, [*config, *lines], None)
        self._processes.append(client)
        return client

    def script(self, name: str, body: str, *, interpreter: str = "/bin/sh") -> Path:
        """An executable script for a hook."""
        path = self.folder / name
        path.write_text(f"#!{interpreter}\n{body}\n")
        path.chmod(0o755)  # OpenVPN executes it
        return path

    def login(self, name: str, user: str, password: str) -> str:
        """The line auth-user-pass of a client's configuration."""
        path = self.folder / f"{name}.login"
        path.write_text(f"{user}\n{password}\n")
        path.chmod(0o600)
        return f"auth-user-pass {path}"

    def _namespace(self, name: str) -> Namespace:
        """A new one; where it is not the server's, joined with that by a pair of veth devices."""
        namespace = Namespace(f"{self._prefix}-{name}")
        self._namespaces.append(namespace)
        number = len(self._namespaces) - 1
        if number == 0:
            return namespace
        server = self._server_namespace.name
        _ip("link", "add", f"v{number}", "netns", server, "type", "veth", "peer", "name", "v0", "netns", namespace.name)
        if number == 1:
            _ip("-n", server, "link", "add", "bridge", "type", "bridge")
            _ip("-n", server, "addr", "add", f"{SERVER_ADDRESS}/16", "dev", "bridge")
            _ip("-n", server, "addr", "add", f"{SERVER_ADDRESS6}/64", "dev", "bridge", "nodad")
            _ip("-n", server, "link", "set", "bridge", "up")
        _ip("-n", server, "link", "set", f"v{number}", "master", "bridge", "up")
        _ip("-n", namespace.name, "addr", "add", f"10.200.1.{number}/16", "dev", "v0")
        _ip("-n", namespace.name, "addr", "add", f"fd00:200::1:{number:x}/64", "dev", "v0", "nodad")
        _ip("-n", namespace.name, "link", "set", "v0", "up")
        return namespace


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
