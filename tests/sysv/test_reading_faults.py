"""Where msgctl is refused or missing, /proc takes over, the limit is left out, and one line says why."""

import ctypes
import errno
import logging
from pathlib import Path

import pytest

from exporter.sysv.msgctl import MSG_INFO, MSG_STAT_ANY, MsgCtl, Walker, system_msgctl
from exporter.sysv.queues import UNKNOWN_LIMIT, MalformedError, Queues, parse_proc
from exporter.sysv.reader import QueueReader
from tests.support.kernel import make

HEADING = "key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime\n"
PROC = Path("/proc")


def refusing(error: int, command: int) -> MsgCtl:
    """The real msgctl, but for one command."""
    real = system_msgctl()
    assert not isinstance(real, str)

    def msgctl(index: int, given: int, struct: object) -> int:
        if given == command:
            ctypes.set_errno(error)
            return -1
        return real(index, given, struct)

    return msgctl


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize(
    ("msgctl", "reason"),
    [
        (refusing(errno.EACCES, MSG_INFO), "msgctl(MSG_INFO) is refused: Permission denied"),
        (refusing(errno.ENOSYS, MSG_INFO), "msgctl(MSG_INFO) is refused: Function not implemented"),
        (refusing(errno.EPERM, MSG_STAT_ANY), "msgctl(MSG_STAT_ANY) is refused: Operation not permitted"),
        (refusing(errno.EINVAL, MSG_STAT_ANY), "msgctl(MSG_STAT_ANY) is not known to this kernel"),
        ("the layout of struct msqid_ds on pdp11 is not known", "on pdp11 is not known"),
    ],
)
def test_fall_back(msgctl: MsgCtl | str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """All queues are there without their limits; the reason is told once, not once a read."""
    make(7, b"abc")
    make(None)
    reader = QueueReader(PROC, msgctl)
    for _ in range(3):
        queues = reader.read()
    assert [(queue.key, queue.cbytes, queue.qbytes) for queue in queues.rows()] == [
        (7, 3, UNKNOWN_LIMIT),
        (0, 0, UNKNOWN_LIMIT),
    ]
    (message,) = [record.getMessage() for record in caplog.records]
    assert reason in message
    assert "sysv_msg_queue_limit_bytes is left out" in message


@pytest.mark.usefixtures("queues")
def test_one_queue_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A security module may hide a single queue: it comes from /proc, the others keep their limits."""
    make(1)
    hidden = make(2, b"x")
    real = system_msgctl()
    assert not isinstance(real, str)

    def msgctl(index: int, command: int, struct: object) -> int:
        result = real(index, command, struct)
        if command == MSG_STAT_ANY and result == hidden.id:
            ctypes.set_errno(errno.EACCES)
            return -1
        return result

    limits = {queue.key: queue.qbytes for queue in QueueReader(PROC, msgctl).read().rows()}
    assert limits[1] > 0
    assert limits[2] == UNKNOWN_LIMIT
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("queues")
def test_recovery_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once msgctl answers again the limits are back, without a restart."""
    caplog.set_level(logging.INFO)
    make(1)
    refused = refusing(errno.EACCES, MSG_INFO)
    real = system_msgctl()
    assert not isinstance(real, str)
    working = False

    def msgctl(index: int, command: int, struct: object) -> int:
        return (real if working else refused)(index, command, struct)

    reader = QueueReader(PROC, msgctl)
    assert reader.read().qbytes == [UNKNOWN_LIMIT]
    working = True
    assert reader.read().qbytes[0] > 0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_no_queues_is_not_an_unknown_kernel() -> None:
    """Nothing in use and nothing found: that is an empty host."""

    def msgctl(_index: int, command: int, _struct: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return 0 if command == MSG_INFO else -1

    assert Walker(msgctl).walk() == (Queues(*([] for _ in Queues._fields)), None)


@pytest.mark.usefixtures("queues")
def test_queues_that_are_made_anew_are_not_an_unknown_kernel(caplog: pytest.LogCaptureFixture) -> None:
    """All are removed and others made in the middle of a walk: their limits are known in the next one."""
    real = system_msgctl()
    assert not isinstance(real, str)
    queue = make(1)
    is_due = False

    def msgctl(index: int, command: int, struct: object) -> int:
        result = real(index, command, struct)
        if command == MSG_INFO and is_due:
            queue.remove()
            make(2)
            make(3)
        elif is_due:
            ctypes.set_errno(errno.EINVAL)
            return -1  # as if each had got another index
        return result

    reader = QueueReader(PROC, msgctl)
    assert [row.key for row in reader.read().rows()] == [1]
    is_due = True
    assert [row for row in reader.read().rows() if row.qbytes == UNKNOWN_LIMIT] == []
    is_due = False
    assert {row.key: row.qbytes > 0 for row in reader.read().rows()} == {2: True, 3: True}
    assert not caplog.records


@pytest.mark.parametrize("machine", ["armv7l", "i686", "s390x", "mips64"])
def test_unknown_machines(machine: str) -> None:
    """A machine whose struct layout nobody tried is not guessed at."""
    assert system_msgctl(machine) == f"the layout of struct msqid_ds on {machine} is not known"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "something else\n",
        HEADING + "1 2 3\n",
        HEADING + "a b 600 0 0 0 0 0 0 0 0 0 0 0\n",
        HEADING + "1 2 999 0 0 0 0 0 0 0 0 0 0 0\n",
    ],
)
def test_malformed_proc(text: str) -> None:
    with pytest.raises(MalformedError, match="/proc/sysvipc/msg"):
        parse_proc(text)


def test_proc_not_there(tmp_path: Path) -> None:
    """Neither source: an error that names the file."""
    with pytest.raises(FileNotFoundError, match="sysvipc/msg"):
        QueueReader(tmp_path, "no msgctl").read()
