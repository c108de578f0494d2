"""Paths as OpenVPN was given them, made absolute."""

import os
from pathlib import PurePosixPath

from exporter.discovery.options import Fault


def readable(text: str) -> str:
    """Return text that can be written: what is not UTF-8 in a path is replaced, as openvpn-mq-hook does it."""
    return os.fsencode(text).decode(errors="replace")


class Paths:
    """Resolves paths from the folder that OpenVPN is in; what cannot be read or resolved is in `faults`."""

    def __init__(self, folder: PurePosixPath | None) -> None:
        """`folder` is where the process was started, None if unknown."""
        self._folder = folder
        self.faults: list[Fault] = []

    @property
    def folder(self) -> PurePosixPath | None:
        """Where OpenVPN is by now."""
        return self._folder

    def change_folder(self, text: str) -> None:
        """Resolve from this folder from now on."""
        self._folder = self.absolute(text)

    def absolute(self, text: str) -> PurePosixPath | None:
        """Return the absolute path; None, with a fault, if its folder is not known."""
        path = PurePosixPath(text)
        if path.is_absolute():
            return path
        if self._folder is None:
            self.faults.append(Fault(text, "a relative path, and the folder that OpenVPN was started in is not known"))
            return None
        return self._folder / path

    def optional(self, text: str) -> PurePosixPath | None:
        """Return the absolute path; None if `text` is empty, too."""
        return self.absolute(text) if text else None

    def inside(self, chroot: PurePosixPath | None, text: str) -> PurePosixPath | None:
        """Return the path of what OpenVPN opens once it is in its chroot, if it has one."""
        return chroot / text.lstrip("/") if chroot else self.absolute(text)
