"""What another user can read: tried with that user's own ids, in a child process, or judged by modes without root."""

import ctypes
import json
import os
import stat
import struct
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from exporter.check.users import EXPORTER_USER, known_user
from exporter.discovery.access import Access, Source, Verdict, try_source
from exporter.errors import BadInputError
from exporter.sysv.ids import user_name

OLD: Final = "the service sees the file that was there before this one"

_EXPORTER_COMM: Final = "openvpn-mq-expo"  # as the kernel cuts it
_CLONE_NEWNS: Final = 0x00020000
_PR_SET_KEEPCAPS: Final = 8
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DAC: Final = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: modes do not hold for who has one of them


class Identity(NamedTuple):
    """Whose rights: ids, and if the exporter runs as that user, its capabilities and its view of the files."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: int = 0
    service: int | None = None  # the exporter's pid

    def allows(self, found: os.stat_result, bit: int) -> bool:
        """Return whether a file's mode gives `bit` (4 read, 2 write, 1 search) to this user."""
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            return bool(found.st_mode >> 6 & bit)
        return bool(found.st_mode >> (3 if found.st_gid in (self.gid, *self.groups) else 0) & bit)


def identity(name: str | None, procfs: Path) -> Identity:
    """Return the user of this name; the exporter's user if there is one, else our own. Raise BadInputError."""
    try:
        account = known_user(name or EXPORTER_USER)
    except BadInputError:
        if name:
            raise
        return Identity(user_name(os.geteuid()), os.geteuid(), os.getegid(), tuple(os.getgroups()))
    groups = tuple(os.getgrouplist(account.pw_name, account.pw_gid))
    plain = Identity(account.pw_name, account.pw_uid, account.pw_gid, groups)
    return _running(plain, procfs) or plain


def try_as(who: Identity, sources: Sequence[Source]) -> list[Access]:
    """Return how this user fares with each source."""
    if who.uid == os.geteuid() and who.service is None:
        return [try_source(source) for source in sources]
    if os.geteuid() != 0:
        return [by_modes(who, source) for source in sources]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            become(who)
            answers = [(*try_source(source)[1:], _inode(source)) for source in sources]
            with open(writer, "w") as pipe:
                json.dump(answers, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        return [by_modes(who, source) for source in sources]
    return [
        _seen_from_here(Access(source, verdict, reason), inode)
        for source, (verdict, reason, inode) in zip(sources, json.loads(text), strict=True)
    ]


def _inode(source: Source) -> list[int]:
    """Return what tells a file from another one of the same path; empty if there is none."""
    if source.path is None or source.kind == "journal":
        return []
    try:
        found = os.stat(source.path)
    except OSError:
        return []
    return [found.st_dev, found.st_ino]


def _seen_from_here(access: Access, inode: list[int]) -> Access:
    """Return how a service fares that has a view of the files of its own: it may lack a file, or have an old one."""
    here = _inode(access.source)
    if access.verdict == "missing" and here:
        return access._replace(verdict="hidden", reason="the service does not see it")
    if access.verdict in ("ok", "unusable") and inode and here and inode != here:
        return access._replace(verdict="hidden", reason=OLD)
    return access


def become(who: Identity) -> None:
    """Give up root for good, for this user; called in a child process. Raise OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if who.service is not None:
        namespace = os.open(f"/proc/{who.service}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        _check(libc.setns(namespace, _CLONE_NEWNS))
    os.setgroups(who.groups)
    os.setresgid(who.gid, who.gid, who.gid)
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setresuid(who.uid, who.uid, who.uid)
    # struct __user_cap_header_struct and two of __user_cap_data_struct: effective, permitted, inheritable.
    low, high = who.capabilities & 0xFFFFFFFF, who.capabilities >> 32
    _check(libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", low, low, 0, high, high, 0)))


def by_modes(who: Identity, source: Source, look: Callable[[Path], os.stat_result] = os.stat) -> Access:
    """Judge by the modes of the file and the folders above it, as far as we may see them ourselves."""
    if source.path is None or source.kind == "journal":
        unknown: Verdict = "ok" if source.path is None else "unknown"
        return Access(source, unknown, "" if source.path is None else "run as root to know")
    places = way(source.path)
    for place in places:
        last = place == places[-1]
        bit = (2 if source.kind == "management" else 4) if last else 1
        try:
            found = look(place)
        except (FileNotFoundError, NotADirectoryError):
            return Access(source, "missing", "it is not there")
        except OSError:
            return Access(source, "unknown", "run as root to know")
        if not who.allows(found, bit):
            if who.capabilities & _CAP_DAC:
                return Access(source, "unknown", "run as root to know")
            return Access(source, "denied", "Permission denied")
        if not last and not stat.S_ISDIR(found.st_mode):
            return Access(source, "missing", "it is not there")
    return Access(source, "ok")


def way(path: Path) -> list[Path]:
    """Return the folders that lead to a file, also those behind its symbolic links, and the file last."""
    real = Path(os.path.realpath(path))
    folders = (os.path.realpath(folder) for folder in (*reversed(path.parents), *reversed(real.parents)))
    return [*map(Path, dict.fromkeys(folders)), real]


def is_public(path: PurePosixPath) -> bool | None:
    """Return whether it is a file that everybody may read; None if there is nothing."""
    *folders, file = way(Path(path))
    try:
        mode = os.stat(file).st_mode
        reachable = all(os.stat(folder).st_mode & stat.S_IXOTH for folder in folders)
    except OSError:
        return None
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH) and reachable


def _running(plain: Identity, procfs: Path) -> Identity | None:
    """Return the user as the exporter that runs is it; None if none runs."""
    for name in os.listdir(procfs):
        if not name.isdigit():
            continue
        try:
            if (procfs / name / "comm").read_text(errors="replace").rstrip("\n") != _EXPORTER_COMM:
                continue
            status = dict(
                line.split(":", 1) for line in (procfs / name / "status").read_text().splitlines() if ":" in line
            )
        except OSError:
            continue
        if int(status["Uid"].split()[1]) == plain.uid:
            return plain._replace(
                gid=int(status["Gid"].split()[1]),
                groups=tuple(map(int, status["Groups"].split())),
                capabilities=int(status["CapEff"], 16),
                service=int(name),
            )
    return None


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
