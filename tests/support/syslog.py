"""Real syslog daemons, each with a /dev/log of its own that nobody else sees."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.support.needs import need, need_root
from tests.support.openvpn import wait_until

Kind = Literal["rsyslogd", "busybox"]

_NODES = ("null 1 3", "zero 1 5", "random 1 8", "urandom 1 9", "net/tun 10 200")
_RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/dev/log")
$RepeatedMsgReduction on
*.* action(type="omfile" file="{folder}/traditional.log" template="RSYSLOG_TraditionalFileFormat")
*.* action(type="omfile" file="{folder}/precise.log" template="RSYSLOG_FileFormat")
*.* action(type="omfile" file="{folder}/rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")
"""


class Syslog:
    """A daemon in a mount namespace with a /dev of its own; `log` and the other files of `folder` are what it writes.

    rsyslogd writes traditional.log, precise.log and rfc5424.log, and reduces repeated messages; BusyBox messages.log.
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        (folder / "rsyslog.conf").write_text(_RSYSLOG.format(folder=folder))
        command = {
            "rsyslogd": f"rsyslogd -n -f {folder}/rsyslog.conf -i {folder}/pid",
            "busybox": f"busybox syslogd -n -O {folder}/messages.log",
        }[kind]
        nodes = " && ".join(f"mknod -m 666 /dev/{node.replace(' ', ' c ', 1)}" for node in _NODES)
        prepare = f"mount -t tmpfs -o mode=755 none /dev && mkdir /dev/net && {nodes} && exec {command}"
        # slave: network namespaces that are made later are to be seen in it
        self._daemon = subprocess.Popen(
            ["unshare", "--mount", "--propagation=slave", "sh", "-c", prepare],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        socket = Path(f"/proc/{self._daemon.pid}/root/dev/log")
        wait_until(lambda: socket.is_socket() or self._daemon.poll() is not None, f"{kind} listens")

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command whose syslog(3) goes to this daemon."""
        return ["nsenter", f"--mount=/proc/{self._daemon.pid}/ns/mnt", "--", *command]

    def log(self, tag: str, *messages: str) -> None:
        """Log messages as a daemon of this name and pid 4711 does."""
        for message in messages:
            command = self.inside("logger", "--tag", tag, "--id=4711", "--priority", "daemon.notice", "--", message)
            subprocess.run(command, check=True)

    def close(self) -> None:
        """End the daemon; it writes what it still holds."""
        self._daemon.terminate()
        self._daemon.wait()


@contextlib.contextmanager
def syslog(kind: Kind) -> Iterator[Syslog]:
    """Start one; everything is gone after the block."""
    need_root()
    need(kind, "unshare", "nsenter", "logger")
    folder = Path(tempfile.mkdtemp(prefix=f"mq-{os.getpid()}-syslog-"))
    daemon = Syslog(folder, kind)
    try:
        yield daemon
    finally:
        daemon.close()
        shutil.rmtree(folder, ignore_errors=True)
