"""Threads asleep in msgsnd and msgrcv, from /proc/PID/task/TID/syscall; and whether a process is there at all.

The kernel shows that file to whom it would allow to trace the process (CAP_SYS_PTRACE). Reading it costs about 9
microseconds a thread, so `Sleepers.threads` tells what a scan cost.
"""

import os
import platform
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

Kind = Literal["send", "receive"]

_FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC  # PROC_PID_INIT_INO and
_FIRST_IPC_NAMESPACE: Final = 0xEFFFFFFF  # PROC_IPC_INIT_INO of the kernel: inode numbers that never change


class SystemCalls(NamedTuple):
    """Numbers by which a machine knows msgsnd and msgrcv; of its 32-bit programs too, where no other call has them."""

    send: frozenset[int]
    receive: frozenset[int]
    ipc: int | None  # ipc(2), which carries what to do in its first argument and the msqid in its second


SYSTEM_CALLS: Final = {
    # i386: 400 and 401, and 117 is ipc(2); as a call of x86-64, 117 is setresuid, which never sleeps.
    "x86_64": SystemCalls(frozenset((69, 400)), frozenset((70, 401)), 117),
    "aarch64": SystemCalls(frozenset((189, 301)), frozenset((188, 302)), None),
}
_IPC_MSGSND: Final = 11
_IPC_MSGRCV: Final = 12


class Sleepers(NamedTuple):
    """Threads asleep, by msqid."""

    senders: Counter[int]
    receivers: Counter[int]
    threads: int  # how many were looked at


class DeniedError(Exception):
    """Some threads could not be looked at, so any count would be too low; the message says what to do."""


def system_calls(machine: str = platform.machine()) -> SystemCalls | None:
    """The numbers of this machine; None where they are not known."""
    return SYSTEM_CALLS.get(machine)


def parse_syscall(text: str, calls: SystemCalls) -> tuple[Kind, int] | None:
    """What kind of call on which msqid a thread sleeps in; None for any other call, and for a thread that runs.

    The file has the number of the call in decimal, then its six arguments, the stack pointer and the program counter
    in hexadecimal: `69 0x8000 0x7ffe… 0x3e8 …`; or `running`; or -1 where the thread sleeps in no call.
    """
    number, *arguments = text.split()
    if not number.isdigit():
        return None
    call = int(number)
    if call in calls.send or call in calls.receive:
        return ("send" if call in calls.send else "receive"), int(arguments[0], 16) & 0xFFFFFFFF
    if call == calls.ipc:
        wanted = int(arguments[0], 16) & 0xFFFF
        if wanted in (_IPC_MSGSND, _IPC_MSGRCV):
            return ("send" if wanted == _IPC_MSGSND else "receive"), int(arguments[1], 16) & 0xFFFFFFFF
    return None


def own_ipc_namespace() -> int:
    """The inode that tells the IPC namespace of this process from others."""
    return os.stat("/proc/self/ns/ipc").st_ino


def scan(procfs: Path, calls: SystemCalls) -> Sleepers:
    """Every thread of our own IPC namespace, but for those of this process. Raises DeniedError or OSError.

    Process 1, which some hosts shield from everybody, may be closed to us; any other may not.
    """
    _try_view(procfs)
    namespace = own_ipc_namespace()
    found: dict[Kind, Counter[int]] = {"send": Counter(), "receive": Counter()}
    threads = 0
    for task in _tasks(procfs):
        threads += 1
        try:
            asleep = parse_syscall(_read(f"{task}/syscall"), calls)
            # A msqid means something in its own namespace only; and who is stopped does not wait, though the file says
            # the same. Both are asked of the few that sleep in such a call, not of everybody.
            if asleep and os.stat(f"{task}/ns/ipc").st_ino == namespace and not _stopped(_read(f"{task}/stat")):
                kind, msqid = asleep
                found[kind][msqid] += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended
        except PermissionError:
            if not task.startswith(f"{procfs}/1/"):
                raise DeniedError(
                    "threads of other users cannot be looked at: give the exporter CAP_SYS_PTRACE"
                ) from None
    return Sleepers(found["send"], found["receive"], threads)


def exists(procfs: Path, pid: int) -> bool | None:
    """Whether there is a process or thread with this id; None where /proc hides those of others (hidepid)."""
    if Path(procfs, str(pid)).exists():
        return True
    return False if Path(procfs, "1").exists() else None


def _try_view(procfs: Path) -> None:
    """Whether everybody who could use our queues is in this /proc. Raises DeniedError."""
    try:
        pids = os.stat(procfs / "1" / "ns" / "pid").st_ino
    except FileNotFoundError:
        raise DeniedError(f"{procfs} hides the processes of others (hidepid): mount it without") from None
    except PermissionError:
        return  # a shielded process 1, or no rights at all: the first thread of another user will tell
    if pids != _FIRST_PID_NAMESPACE and own_ipc_namespace() == _FIRST_IPC_NAMESPACE:
        raise DeniedError(
            f"{procfs} shows the processes of a container only, the queues are the host's: give the container the "
            "host's pid namespace, or --path.procfs of the host"
        )


def _tasks(procfs: Path) -> Iterator[str]:
    """The folder of every thread of every process but this one."""
    own = str(os.getpid())
    for pid in os.listdir(procfs):
        if pid.isdigit() and pid != own:
            try:
                for tid in os.listdir(f"{procfs}/{pid}/task"):
                    yield f"{procfs}/{pid}/task/{tid}"
            except (FileNotFoundError, ProcessLookupError):
                continue


def _stopped(stat: str) -> bool:
    """By a signal or a debugger: the state behind the name, which may itself hold blanks and brackets."""
    return stat.rpartition(")")[2].split()[0] in "Tt"


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1024).decode()
    finally:
        os.close(descriptor)
