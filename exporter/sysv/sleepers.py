"""Threads asleep in msgsnd and msgrcv, from /proc/PID/task/TID/syscall.

That file has mode 0400 and belongs to the process's user, and the kernel fills it only for a reader who may trace the
process: to read other users' files takes CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE. Reading one takes about 9
microseconds.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from exporter.procfs import own_ipc_namespace

CallKind = Literal["send", "receive"]

_FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC  # PROC_PID_INIT_INO and
_FIRST_IPC_NAMESPACE: Final = 0xEFFFFFFF  # PROC_IPC_INIT_INO of the kernel: inode numbers that never change


class SystemCalls(NamedTuple):
    """Syscall numbers of msgsnd and msgrcv on one architecture, with those of its 32-bit ABI unless ambiguous."""

    send: frozenset[int]
    receive: frozenset[int]
    ipc: int | None  # ipc(2), whose first argument selects the operation and whose second is the msqid


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


class DeniedError(Exception):
    """Some threads could not be inspected, so any count would be too low; the message says what to do."""


class CapabilitiesError(DeniedError):
    """It takes capabilities that the exporter does not have."""


def system_calls(machine: str = os.uname().machine) -> SystemCalls | None:
    """Return the numbers of this machine; None if they are not known."""
    return SYSTEM_CALLS.get(machine)


def parse_syscall(text: str, calls: SystemCalls) -> tuple[CallKind, int] | None:
    """Return the kind of call and the msqid that a thread sleeps in; None for any other call, and for a running thread.

    The file has the number of the call in decimal, then its six arguments, the stack pointer and the program counter
    in hexadecimal: `69 0x8000 0x7ffe… 0x3e8 …`; or `running`; or -1 if the thread sleeps outside of any call.
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


def scan(procfs: Path, calls: SystemCalls) -> Sleepers:
    """Inspect every thread of the exporter's IPC namespace, except its own. Raise DeniedError or OSError.

    Being denied access to PID 1 is tolerated (some hosts protect it); for any other process it is an error.
    """
    _check_view(procfs)
    namespace = own_ipc_namespace()
    found: dict[CallKind, Counter[int]] = {"send": Counter(), "receive": Counter()}
    for task in _tasks(procfs):
        try:
            asleep = parse_syscall(_read(f"{task}/syscall"), calls)
            # A msqid identifies a queue in its own namespace only; and a stopped thread is not waiting, although its
            # syscall file looks the same. Both are checked for the few threads that sleep in such a call.
            if asleep and os.stat(f"{task}/ns/ipc").st_ino == namespace and not _stopped(_read(f"{task}/stat")):
                kind, msqid = asleep
                found[kind][msqid] += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended
        except PermissionError:
            if not task.startswith(f"{procfs}/1/"):
                raise CapabilitiesError(
                    "threads of other users cannot be inspected: give the exporter CAP_SYS_PTRACE and "
                    "CAP_DAC_READ_SEARCH"
                ) from None
    return Sleepers(found["send"], found["receive"])


def _check_view(procfs: Path) -> None:
    """Check that every process that could use our queues is visible in this /proc. Raise DeniedError."""
    try:
        pids = os.stat(procfs / "1" / "ns" / "pid").st_ino
    except FileNotFoundError:
        raise _hidden(procfs) from None
    except PermissionError:
        return  # a protected PID 1, or no capabilities at all: the first thread of another user will show
    if pids != _FIRST_PID_NAMESPACE and own_ipc_namespace() == _FIRST_IPC_NAMESPACE:
        raise DeniedError(
            f"{procfs} shows the processes of a container only, the queues are the host's: give the container the "
            "host's pid namespace, or --path.procfs of the host"
        )


def _tasks(procfs: Path) -> Iterator[str]:
    """Yield the folder of every thread of every process except this one."""
    own = str(os.getpid())
    for pid in os.listdir(procfs):
        if pid.isdigit() and pid != own:
            try:
                for tid in os.listdir(f"{procfs}/{pid}/task"):
                    yield f"{procfs}/{pid}/task/{tid}"
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError:  # hidepid=noaccess: else every process's threads can be listed
                raise _hidden(procfs) from None


def _hidden(procfs: Path) -> DeniedError:
    return DeniedError(f"{procfs} hides the processes of others (hidepid): mount it without hidepid")


def _stopped(stat: str) -> bool:
    """Return whether a signal or a debugger stopped it; the name before the state may contain blanks and brackets."""
    return stat.rpartition(")")[2].split()[0] in "Tt"


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1024).decode(errors="replace")
    finally:
        os.close(descriptor)
