"""Lines that a bpftrace of somebody else writes into a named pipe (or a file), for --trace.input."""

import os
import select
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter.trace.lines import LineSplitter

_PAUSE: Final = 0.25  # seconds between looks at what says that there is no more


class Input:
    """Follows the path, through the end of its writer and through its being made anew."""

    def __init__(self, path: Path, hear: Callable[[bytes], None]) -> None:
        """`hear` gets each line."""
        self._path = path
        self._hear = hear
        self.fault: str | None = None  # why nothing is read just now

    def run(self, stopping: threading.Event) -> None:
        """Follow; returns soon after `stopping` is set."""
        while not stopping.is_set():
            try:
                # A pipe is opened without waiting for its writer.
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                self.fault = f"{self._path}: {error.strerror}; is openvpn-mq-trace.service running?"
                stopping.wait(1.0)
                continue
            try:
                self._follow(descriptor, stopping)
            except OSError as error:
                self.fault = f"{self._path}: {error.strerror}"
                stopping.wait(1.0)
            finally:
                os.close(descriptor)

    def _follow(self, descriptor: int, stopping: threading.Event) -> None:
        splitter = LineSplitter()
        while not stopping.is_set():
            select.select([descriptor], [], [], _PAUSE)
            try:
                piece = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                continue  # a writer that has nothing to say
            if piece:
                self.fault = None
                for line in splitter.split(piece):
                    self._hear(line)
            elif self._replaced(descriptor):
                return
            else:
                stopping.wait(_PAUSE)

    def _replaced(self, descriptor: int) -> bool:
        """Whether the path is another file by now, or one that was cut short."""
        try:
            there = self._path.stat()
        except OSError:
            return True
        ours = os.fstat(descriptor)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            return True
        return stat.S_ISREG(ours.st_mode) and ours.st_size < os.lseek(descriptor, 0, os.SEEK_CUR)
