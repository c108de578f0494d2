"""A Debian host with a real systemd as process 1, in namespaces of its own (systemd-nspawn).

Its root folder is made by debootstrap once per checkout and copied for each machine.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import need, need_root

ROOT = Path(__file__).parents[2]
_BASE = ROOT / ".tools" / "machine"
_PACKAGES = "systemd,systemd-sysv,dbus,python3,openvpn,openssl,iproute2,iputils-ping,procps,logrotate,curl,libstdc++6"
_SYSTEMD = b"/usr/lib/systemd/systemd\0"


def base() -> Path:
    """Return the root folder that machines are copied from; made of this host's own release of Debian."""
    need_root()
    need("debootstrap", "systemd-nspawn")
    if not (_BASE / "made").exists():
        shutil.rmtree(_BASE, ignore_errors=True)
        _BASE.mkdir(parents=True)
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)[
            "VERSION_CODENAME"
        ].strip('"')
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, str(_BASE / "root")]
        made = subprocess.run([*command, *_mirror()], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
        (_BASE / "made").touch()
    return _BASE / "root"


def _mirror() -> list[str]:
    """Return where this host's own packages come from, as apt has it; nothing if apt does not tell."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)"], capture_output=True, text=True, check=False
    )
    for line in asked.stdout.splitlines():
        address, _, component = line.partition(" ")
        if component == "main" and "security" not in address:
            return [address]
    return []


class Machine:
    """A running one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._log = root.parent / "console"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Start it; return when systemd has started everything."""
        empty = self.root.parent / "empty"
        empty.touch()
        with empty.open("rb") as nothing, self._log.open("wb") as console:
            self._nspawn = subprocess.Popen(
                [
                    *(
                        "systemd-nspawn",
                        "--register=no",
                        "--keep-unit",
                        "--boot",
                        "--console=pipe",
                        "--private-network",
                    ),
                    *("--capability=CAP_NET_ADMIN", "--bind=/dev/net/tun", "-D", str(self.root)),
                ],
                stdin=nothing,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._wait(self._found_leader, "systemd does not start")
        self._wait(lambda: self._state() in ("running", "degraded"), "systemd does not come up")
        self.run("ip link set lo up")

    def reboot(self) -> None:
        """Stop it as a shutdown does, and boot the same root folder again."""
        self.stop()
        self.boot()

    def stop(self) -> None:
        """Shut it down."""
        if self._nspawn is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._leader, signal.SIGRTMIN + 4)  # poweroff.target
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()
        self._nspawn = None

    def attempt(self, command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside, as root."""
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-p", "-n", "-r", "-w"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        clean = ["env", "-i", path, "HOME=/root", "TERM=dumb", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.run(
            [*enter, *clean, "sh", "-ec", f"cd /root; {command}"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=timeout,
        )  # fmt: skip

    def run(self, command: str, timeout: float = 120) -> str:
        """Run a shell command inside that must succeed; return its output."""
        done = self.attempt(command, timeout)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.attempt('journalctl -n 40').stdout}"
        return done.stdout

    def wait(self, command: str, what: str) -> str:
        """Repeat a shell command until it succeeds."""
        deadline = time.monotonic() + 60
        while (done := self.attempt(command)).returncode:
            assert time.monotonic() < deadline, (
                f"{what}\n{done.stdout}{done.stderr}\n{self.attempt('journalctl -n 60').stdout}"
            )
            time.sleep(0.5)
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside; for folders that are not mounts of its own."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def _state(self) -> str:
        return self.attempt("systemctl is-system-running || true", 30).stdout.strip()

    def _found_leader(self) -> bool:
        assert self._nspawn
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                if (folder / "cmdline").read_bytes() == _SYSTEMD:
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    if parent == self._nspawn.pid:
                        self._leader = int(folder.name)
                        return True
        return False

    def _wait(self, condition: object, what: str) -> None:
        assert callable(condition)
        deadline = time.monotonic() + 90
        while not condition():
            assert self._nspawn
            assert self._nspawn.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < deadline, f"{what}: {self._log.read_text(errors='replace')}"
            time.sleep(0.2)


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Boot a fresh one; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="openvpn-mq-machine-") as folder:  # on a disk
        root = Path(folder) / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", str(base()), str(root)], check=True)
        started = Machine(root)
        try:
            started.boot()
            yield started
        finally:
            started.stop()


def quoted(text: str) -> str:
    """Quote text for the shell inside."""
    return shlex.quote(text)
