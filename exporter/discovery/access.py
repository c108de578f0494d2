"""Which of an instance's sources this process can read, found out by trying."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple

from exporter.config.model import UnixAddress
from exporter.discovery.instance import Instance
from exporter.discovery.options import Fault
from exporter.files import open_named

Kind = Literal["config", "log", "journal", "status", "hooks", "management", "password", "certificate"]
Verdict = Literal["ok", "missing", "denied", "hidden", "unusable", "unknown"]

KINDS: Final[tuple[Kind, ...]] = (
    *("config", "log", "journal", "status", "hooks", "management", "password", "certificate"),
)
HOMES: Final = ("/root/", "/home/")  # what is in there is no other user's business, nor a service's
JOURNAL_FOLDERS: Final = ("var/log/journal", "run/log/journal")
_NOT_THERE: Final = (FileNotFoundError, NotADirectoryError)


class Source(NamedTuple):
    """One thing to read. `path` is None for a TCP address and for what is no file, for the journal the host's root."""

    kind: Kind
    name: str  # the path, unit or address, as the user knows it
    path: Path | None


class Access(NamedTuple):
    """What became of trying; `reason` is a sentence's end, empty if all is well."""

    source: Source
    verdict: Verdict
    reason: str = ""

    @property
    def is_unreadable(self) -> bool:
        """Whether something has to be done about it; what is missing may still come."""
        return self.verdict in ("denied", "hidden", "unusable")


def sources(instance: Instance, *, polled: bool) -> Iterator[Source]:
    """Yield everything of the instance that can be read, its configuration first.

    `polled`: whether management interfaces are, for which their passwords are needed.
    """
    options = instance.options
    faulty = {fault.path for fault in options.faults}
    for file in options.files:
        if str(file) not in faulty:
            yield Source("config", str(file), instance.root / str(file).lstrip("/"))
    if instance.log:
        yield Source("log", str(options.log), instance.log)
    if instance.journal:
        yield Source("journal", instance.journal, instance.root)
    if instance.status:
        yield Source("status", str(options.status), instance.status)
    for record in instance.records:
        yield Source("hooks", str(record), record)
    if options.management and options.management.address:
        address = options.management.address
        if isinstance(address, UnixAddress):
            yield Source("management", address.path, instance.root / address.path.lstrip("/"))
        else:
            yield Source("management", f"{address.host}:{address.port}", None)
        password = options.management.password_file
        if polled and password and not options.management.part:
            yield Source("password", str(password), instance.outside(password))
    for certificate in instance.certificates:
        if certificate.path:
            yield Source("certificate", str(certificate.path), instance.outside(certificate.path))


def accesses(instance: Instance, *, polled: bool) -> list[Access]:
    """Return how this process fares with each source, after what of the configuration could not be read."""
    faults = [_fault(instance, fault) for fault in instance.options.faults]
    return faults + [try_source(source) for source in sources(instance, polled=polled)]


def _fault(instance: Instance, fault: Fault) -> Access:
    path = instance.outside(PurePosixPath(fault.path)) if fault.path.startswith("/") else None
    verdict: Verdict = "denied" if path and fault.reason == os.strerror(errno.EACCES) else "unusable"
    return Access(Source("config", fault.path, path), verdict, fault.reason)


def try_source(source: Source) -> Access:
    """Open it for reading, and close it again; a management socket is not connected to, as it serves one client."""
    if source.path is None:
        return Access(source, "ok")
    if source.kind == "journal":
        return _try_journal(source, source.path)
    try:
        if source.kind == "management":
            if not os.access(source.path, os.W_OK, effective_ids=True):
                os.stat(source.path)  # raises why; if it does not, the socket itself is closed to us
                return Access(source, "denied", os.strerror(errno.EACCES))
        else:
            os.close(open_named(source.path))
    except _NOT_THERE:
        return Access(source, "missing", "it is not there")
    except OSError as error:
        verdict: Verdict = "unusable" if error.errno in (errno.EINVAL, errno.ESTALE) else "denied"
        return Access(source, verdict, error.strerror or str(error))
    return Access(source, "ok")


def _try_journal(source: Source, root: Path) -> Access:
    """Look at the journal's files: journalctl shows a user what he may read, which can be nothing, without an error."""
    denied = False
    for folder in JOURNAL_FOLDERS:
        try:
            files = [root / folder / machine / "system.journal" for machine in os.listdir(root / folder)]
        except OSError as error:
            denied |= not isinstance(error, _NOT_THERE)
            continue
        for file in files:
            try:
                os.stat(file)
                if os.access(file, os.R_OK, effective_ids=True):
                    return Access(source, "ok")
            except _NOT_THERE:
                continue
            except OSError:
                pass  # it is in a folder that is closed
            denied = True
    if denied:
        return Access(source, "denied", os.strerror(errno.EACCES))
    return Access(source, "missing", "this host has no journal")
