"""One look at the host: every OpenVPN that runs, as an Instance."""

import errno
import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from exporter.discovery.instance import Instance, Mode
from exporter.discovery.merge import read_options
from exporter.discovery.names import Names, claim
from exporter.discovery.options import OpenVpnOptions
from exporter.discovery.processes import Process, find_processes
from exporter.discovery.units import unit_texts, working_directory
from exporter.discovery.versions import Versions, started_at
from exporter.files import read_named

_NOT_THERE: Final = os.strerror(errno.ENOENT)
_MAX_BYTES: Final = 1 << 20  # of a configuration file


class Finder:
    """Finds instances again and again; remembers names and versions in between."""

    def __init__(self, procfs: Path, root: Path = Path("/")) -> None:
        """`root`: where the host's files are; a test has its own."""
        self._procfs = procfs
        self._root = root
        self._names = Names()
        self._versions = Versions()
        self._understood: dict[tuple[int, int], OpenVpnOptions] = {}

    def find(self) -> list[Instance]:
        """Return every instance, the longest running first. Raise HiddenError or OSError if /proc cannot be read."""
        found = [(process, self._root_of(process)) for process in find_processes(self._procfs)]
        read = [self._read(process, root) for process, root in found]
        self._understood = {
            (process.pid, process.start_ticks): options
            for (process, _), options in zip(found, read, strict=True)
            if not options.faults
        }
        claims = [claim(process, options) for (process, _), options in zip(found, read, strict=True)]
        names = self._names.assign(claims)
        return [
            Instance(name, process, options, self._version(process, root), _mode(process, options, root), root)
            for name, (process, root), options in zip(names, found, read, strict=True)
        ]

    def _read(self, process: Process, root: Path) -> OpenVpnOptions:
        """Return what the process was told; from an earlier look, if its file is gone or half written just now."""
        folder, read, is_guess = self._view(process, root)
        options = read_options(process.argv, folder, read)
        if is_guess and (options.folder != folder or _is_lost(options)):
            options = read_options(process.argv, None, read)
        return self._understood.get((process.pid, process.start_ticks), options) if options.faults else options

    def _root_of(self, process: Process) -> Path:
        return self._procfs / str(process.pid) / "root" if process.cgroup.container else self._root

    def _view(self, process: Process, root: Path) -> tuple[PurePosixPath | None, partial[str], bool]:
        """Return the folder that the process was started in, what reads its files, and whether the folder is a guess.

        It is one if it is the present folder, to which a `cd` of the configuration may have led since.
        """
        read = partial(read_text, root)
        unit = process.cgroup.unit
        if unit and process.cgroup.system_unit:
            texts = unit_texts(unit, read, lambda folder: os.listdir(_below(root, folder)))
            if texts:
                # systemd starts a service in / if its file names no folder, or one that only systemd knows.
                named = working_directory(unit, texts)
                return named or process.folder or PurePosixPath("/"), read, named is None
        if process.folder == PurePosixPath("/") and not process.cgroup.container:
            return None, read, False  # a daemon goes there by itself, from wherever it was started
        return process.folder, read, True

    def _version(self, process: Process, root: Path) -> str:
        program = self._procfs / str(process.pid) / "exe"
        if not os.access(program, os.R_OK):
            if not PurePosixPath(process.argv[0]).is_absolute():
                return ""
            program = _below(root, PurePosixPath(process.argv[0]))
        return self._versions.read(program, started_at(process.start_ticks))


def _is_lost(options: OpenVpnOptions) -> bool:
    """Return whether its first configuration file is not there."""
    return any(fault.path == str(options.config) and fault.reason == _NOT_THERE for fault in options.faults)


def read_text(root: Path, path: PurePosixPath) -> str:
    """Return the text of a file below `root`. Raise OSError."""
    return os.fsdecode(read_bytes(root, path, _MAX_BYTES))


def read_bytes(root: Path, path: PurePosixPath, most: int) -> bytes:
    """Return the content of a file below `root` of up to `most` bytes. Raise OSError."""
    return read_named(_below(root, path), most)


def _below(root: Path, path: PurePosixPath) -> Path:
    return root / str(path).lstrip("/")


def _mode(process: Process, options: OpenVpnOptions, root: Path) -> Mode:
    """Return the mode; if the configuration cannot be read, what the unit's name or the status file tells."""
    if options.mode != "p2p" or not options.faults:
        return options.mode
    unit = process.cgroup.unit or ""
    if unit.startswith("openvpn-server@"):
        return "server"
    if unit.startswith("openvpn-client@"):
        return "client"
    try:
        title = read_text(root, options.status)[:40] if options.status else ""
    except OSError:
        return "unknown"
    if title.startswith(("TITLE", "OpenVPN CLIENT LIST")):
        return "server"
    return "client" if title.startswith("OpenVPN STATISTICS") else "unknown"
