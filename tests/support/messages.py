"""Programs in C, Python and Perl that send and receive, and count for themselves what they did."""

import ctypes
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.needs import missing, need

HERE = Path(__file__).parent

PYTHON = """
import collections, json, sys, sysv_ipc
key, calls, size = map(int, sys.argv[1:])
count = collections.Counter()
queue = sysv_ipc.MessageQueue(key)
for call in range(calls):
    try:
        queue.send(bytes(call % (size + 1)), block=False)
        count["sent"] += 1
        count["sent_bytes"] += call % (size + 1)
    except sysv_ipc.BusyError:
        count["EAGAIN"] += 1
        try:
            message, _ = queue.receive(block=False)
            count["received"] += 1
            count["received_bytes"] += len(message)
        except sysv_ipc.BusyError:
            pass
print(json.dumps(count))
"""

PERL = """
use strict; use Errno qw(EAGAIN EINVAL);
my ($msqid, $calls, $size) = @ARGV;
my ($sent, $bytes, $again, $received, $received_bytes) = (0, 0, 0, 0, 0);
for my $call (0 .. $calls - 1) {
    my $length = $call % ($size + 1);
    if (msgsnd($msqid, pack("l! a*", 1, "x" x $length), 2048)) { $sent++; $bytes += $length; }
    elsif ($! == EAGAIN) {
        $again++;
        my $message;
        if (msgrcv($msqid, $message, 65536, 0, 2048)) {
            $received++;
            $received_bytes += length($message) - length(pack("l!", 0));
        }
    }
    else { die $!; }
}
printf '{"sent": %d, "sent_bytes": %d, "EAGAIN": %d, "received": %d, "received_bytes": %d}',
    $sent, $bytes, $again, $received, $received_bytes;
"""

_libc = ctypes.CDLL(None, use_errno=True)
_folder = TemporaryDirectory(prefix="openvpn-mq-messages-")


@cache
def program() -> str:
    """The C program, compiled."""
    need("gcc")
    target = Path(_folder.name) / "messages"
    target.parent.chmod(0o755)  # for programs that run as nobody
    subprocess.run(["gcc", "-O2", "-Wall", "-o", target, HERE / "messages.c"], check=True)
    return str(target)


class Load:
    """One such program while it runs."""

    def __init__(self, argv: Sequence[str], uid: int | None = None) -> None:
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, user=uid)

    def truth(self) -> Counter[str]:
        """What it counted, once it has ended by itself."""
        output, _ = self.process.communicate(timeout=100)
        assert self.process.returncode == 0
        return Counter(json.loads(output))

    def asleep(self) -> "Load":
        """Wait until its only thread sleeps in a system call for queues, as strace or ps would show."""
        deadline = time.monotonic() + 30
        path = Path(f"/proc/{self.process.pid}/syscall")
        while time.monotonic() < deadline:
            if path.read_text().split()[0] in ("69", "70", "117", "188", "189"):
                return self
            time.sleep(0.005)
        raise AssertionError(path.read_text())

    def kill(self, number: int) -> None:
        self.process.send_signal(number)

    def gone(self) -> None:
        """Kill it, whatever it does."""
        self.process.kill()
        self.process.communicate()


def in_c(msqid: int, what: str, *numbers: int, before: Sequence[str] = (), uid: int | None = None) -> Load:
    """The C program; `before` runs it, as unshare does."""
    return Load([*before, program(), str(msqid), what, *map(str, numbers)], uid)


def in_python(key: int, calls: int, size: int) -> Load:
    """Sends without waiting; takes one message where the queue is full."""
    return Load([sys.executable, "-c", PYTHON, str(key), str(calls), str(size)])


def in_perl(msqid: int, calls: int, size: int) -> Load:
    """The same."""
    need("perl")
    return Load(["perl", "-e", PERL, str(msqid), str(calls), str(size)])


def send_errno(msqid: int) -> int:
    """The errno of a msgsnd that must fail."""
    message = ctypes.create_string_buffer(b"\1", 16)  # a long of 1, and eight bytes
    assert _libc.msgsnd(msqid, message, 8, 0o4000) == -1
    return ctypes.get_errno()


def elsewhere(msqid: int) -> Sequence[str]:
    """What runs a command in an IPC namespace of its own, which has a queue of this very msqid."""
    next_id = Path("/proc/sys/kernel/msg_next_id")
    if not next_id.exists():
        missing(f"{next_id} is not there: the kernel has no CONFIG_CHECKPOINT_RESTORE")
    script = f'echo "$1" > {next_id}; test "$(ipcmk -Q | grep -o "[0-9]*$")" = "$1" || exit 1; shift; exec "$@"'
    return ("unshare", "--ipc", "sh", "-c", script, "sh", str(msqid))


def with_tracefs() -> Sequence[str]:
    """Return what runs a command in a mount namespace of its own with tracefs where systemd has it, if it is not."""
    mount = "{ mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing; }"
    return ("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
