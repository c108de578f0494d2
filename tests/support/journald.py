"""A real systemd-journald, with a journal of its own that nobody else sees."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import missing, need, need_root
from tests.support.openvpn import wait_until

DAEMON = "/lib/systemd/systemd-journald"


class Journald:
    """The daemon, in a mount namespace in which /run and /var/log/journal are empty folders of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        prepare = (
            f"mount --bind {folder} /run && mkdir -p /run/systemd/journal /run/log/journal && "
            "if [ -d /var/log/journal ]; then mount -t tmpfs none /var/log/journal; fi && touch /run/up && "
            "exec sleep 1d"
        )
        self._holder = subprocess.Popen(["unshare", "--mount", "--propagation=private", "sh", "-c", prepare])
        wait_until(lambda: (folder / "up").exists() or self._holder.poll() is not None, "the folders are mounted")
        self._daemon: subprocess.Popen[bytes] | None = None
        self.start()

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command where this journal is the journal."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *command]

    def start(self) -> None:
        """Start the daemon, and wait until it listens."""
        path = self._folder / "systemd" / "journal" / "stdout"
        path.unlink(missing_ok=True)
        self._daemon = subprocess.Popen(self.inside(DAEMON), stderr=subprocess.DEVNULL)
        wait_until(path.is_socket, "journald listens")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the daemon."""
        if self._daemon:
            self._daemon.send_signal(number)
            self._daemon.wait()

    def close(self) -> None:
        """End everything."""
        self.stop()
        self._holder.kill()
        self._holder.wait()

    def stream(self, unit: str) -> socket.socket:
        """What systemd gives a unit's programs as standard output: each line becomes an entry."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._folder / "systemd" / "journal" / "stdout"))
        # identifier, unit, priority, level prefix, and whether to forward to syslog, to the kernel, to the console
        connection.sendall(f"openvpn\n{unit}\n6\n0\n0\n0\n0\n".encode())
        return connection


@contextlib.contextmanager
def journald() -> Iterator[Journald]:
    """Start one; everything is gone after the block."""
    need_root()
    need("journalctl", "unshare", "nsenter")
    if not Path(DAEMON).exists():
        missing("systemd-journald is not installed; run as root: make tools")
    folder = Path(tempfile.mkdtemp(prefix=f"mq-{os.getpid()}-journal-"))
    daemon = Journald(folder)
    try:
        yield daemon
    finally:
        daemon.close()
        shutil.rmtree(folder, ignore_errors=True)
