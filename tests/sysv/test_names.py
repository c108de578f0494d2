"""The queue label: by configured name, by key, by msqid."""

import logging
import os
from pathlib import Path

import pytest
import sysv_ipc

from exporter.sysv.keys import Ftok, NamedQueue
from exporter.sysv.names import QueueNames, labels
from exporter.sysv.reader import QueueReader
from tests.support.kernel import make

PROC = Path("/proc")


def labelled(names: QueueNames) -> dict[str, int]:
    """Msqid by label, of all queues there are."""
    queues = QueueReader(PROC).read()
    return dict(zip(labels(queues.key, queues.msqid, names.by_key()), queues.msqid, strict=True))


@pytest.mark.usefixtures("queues")
def test_labels_of_real_queues(tmp_path: Path) -> None:
    """A name by key, a name by ftok, a bare key, a negative key, private queues."""
    path = tmp_path / "server.conf"
    path.touch()
    names = QueueNames([NamedQueue("status", 0x4F560001), NamedQueue("commands", Ftok(str(path), 1))])
    made = {
        "status": make(0x4F560001).id,
        "commands": make(sysv_ipc.ftok(str(path), 1, silence_warning=True)).id,
        "0x0000002a": make(42).id,
        "0xffffffff": make(-1).id,
    }
    made |= {f"private:{msqid}": msqid for msqid in (make(None).id, make(None).id)}
    assert labelled(names) == made


@pytest.mark.usefixtures("queues")
def test_a_name_outlives_the_queue() -> None:
    """Removed and made again it has another msqid and the same label."""
    names = QueueNames([NamedQueue("status", 0x4F560001)])
    first = make(0x4F560001)
    assert labelled(names) == {"status": first.id}
    first.remove()
    assert labelled(names) == {}
    second = make(0x4F560001)
    assert second.id != first.id
    assert labelled(names) == {"status": second.id}


def test_a_negative_key_in_the_configuration_is_the_same_key() -> None:
    """0xfffffffe is what ipcs prints for the key -2."""
    assert labels([0xFFFFFFFE], [5], QueueNames([NamedQueue("x", 0xFFFFFFFE)]).by_key()) == ("x",)


def test_ftok_as_the_c_library_has_it(tmp_path: Path) -> None:
    """By the documented formula, from inode, device and project id."""
    path = tmp_path / "file"
    path.touch()
    found = os.stat(path)
    expected = (found.st_ino & 0xFFFF) | (found.st_dev & 0xFF) << 16 | 200 << 24
    assert QueueNames([NamedQueue("x", Ftok(str(path), 200))]).by_key() == {expected: "x"}


def test_a_missing_ftok_file_gives_no_name_and_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The name appears as soon as the file does, without a restart."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "late"
    names = QueueNames([NamedQueue("late", Ftok(str(path), 1))])
    for _ in range(3):
        assert names.by_key() == {}
    (warning,) = caplog.records
    assert str(path) in warning.getMessage()
    path.touch()
    for _ in range(3):
        assert list(names.by_key().values()) == ["late"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_file_made_anew_gives_the_new_key(tmp_path: Path) -> None:
    """An editor that replaces the file changes what ftok gives to programs; the label follows."""
    path = tmp_path / "server.conf"
    path.touch()
    names = QueueNames([NamedQueue("x", Ftok(str(path), 1))])
    before = names.by_key()
    other = tmp_path / "new"
    other.touch()
    other.replace(path)
    assert names.by_key() != before
    assert list(names.by_key()) == [sysv_ipc.ftok(str(path), 1, silence_warning=True) & 0xFFFFFFFF]


def test_two_names_for_one_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which ftok can bring about at run time: the first keeps it, one warning."""
    path = tmp_path / "a"
    path.touch()
    os.link(path, tmp_path / "b")
    names = QueueNames([NamedQueue("a", Ftok(str(path), 1)), NamedQueue("b", Ftok(str(tmp_path / "b"), 1))])
    for _ in range(3):
        assert list(names.by_key().values()) == ["a"]
    assert ["'b'" in record.getMessage() for record in caplog.records] == [True]
