"""A host in a folder: its /proc, its files, and the OpenVPN processes on it, as a test lays them out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.config.model import Config
from exporter.discovery.finder import Finder
from exporter.discovery.instance import Instance
from exporter.discovery.watch import Discovery

DEBIAN_SERVER = """\
[Unit]
Description=OpenVPN service for %I

[Service]
Type=notify
PrivateTmp=true
WorkingDirectory=/etc/openvpn/server
ExecStart=/usr/sbin/openvpn --status %t/openvpn-server/status-%i.log --status-version 2 --suppress-timestamps \
--config %i.conf
"""


class Host:
    """Files below `root`, and a /proc in which processes are put."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.procfs = folder / "proc"
        self.process(1, ["/sbin/init"], comm="systemd", cgroup="/init.scope")
        self.finder = Finder(self.procfs, self.root)

    def file(self, path: str, text: str = "", mode: int = 0o644) -> Path:
        """Write a file of the host's."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def process(
        self,
        pid: int,
        argv: Sequence[str],
        *,
        comm: str = "openvpn",
        cgroup: str = "/user.slice/user-0.slice/session-4.scope",
        cwd: str | None = None,
        parent: int = 1,
        start_ticks: int | None = None,
        state: str = "S",
    ) -> None:
        """Put a process there; without `cwd` its folder is not for us to see."""
        folder = self.procfs / str(pid)
        folder.mkdir(parents=True)
        (folder / "comm").write_text(comm + "\n")
        (folder / "cmdline").write_text("".join(word + "\0" for word in argv), errors="surrogateescape")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        fields = [state, str(parent), *"0" * 17, str(start_ticks if start_ticks is not None else pid * 100), "0"]
        (folder / "stat").write_text(f"{pid} ({comm}) x) {' '.join(fields)}\n")
        if cwd:
            (folder / "cwd").symlink_to(cwd)

    def end(self, pid: int) -> None:
        """Take a process away."""
        for file in (self.procfs / str(pid)).iterdir():
            file.unlink()
        (self.procfs / str(pid)).rmdir()

    def unit(self, pid: int, instance: str, *, kind: str = "server", start_ticks: int | None = None) -> None:
        """Start OpenVPN as the distribution's openvpn-server@ or openvpn-client@ does, in a folder hidden from us."""
        argv = ["/usr/sbin/openvpn"]
        if kind == "server":
            argv += ["--status", f"/run/openvpn-server/status-{instance}.log", "--status-version", "2"]
        argv += ["--suppress-timestamps", *(["--nobind"] if kind == "client" else []), "--config", f"{instance}.conf"]
        text = DEBIAN_SERVER.replace("/server", f"/{kind}") if kind == "client" else DEBIAN_SERVER
        self.file(f"/usr/lib/systemd/system/openvpn-{kind}@.service", text)
        group = f"/system.slice/system-openvpn\\x2d{kind}.slice/openvpn-{kind}@{instance}.service"
        self.process(pid, argv, cgroup=group, start_ticks=start_ticks)

    def instances(self) -> dict[str, Instance]:
        """Find what runs, by name."""
        found = self.finder.find()
        assert len({instance.name for instance in found}) == len(found)
        return {instance.name: instance for instance in found}

    def only(self) -> Instance:
        """Find the only one."""
        (instance,) = self.finder.find()
        return instance

    def discovery(self, config: Config | None = None, clock: Callable[[], float] = time.monotonic) -> Discovery:
        """Return what looks at this host."""
        return Discovery(self.finder, config or Config(), enabled=True, clock=clock)
