"""Read the lines that a bpftrace of its own service writes into a named pipe (or a file), for --trace.input."""

import os
import select
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter.background import BackgroundThread
from exporter.trace.lines import LineSplitter

_PAUSE: Final = 0.25  # seconds between two reads of a pipe or file that has no more


class Input:
    """Follows the path when its writer exits, and when it is created again."""

    def __init__(self, path: Path, on_line: Callable[[bytes], None]) -> None:
        """`on_line` receives each line."""
        self._path = path
        self._on_line = on_line
        self.fault: str | None = None  # why nothing is read at present

    def run(self, thread: BackgroundThread) -> None:
        """Follow the path; return soon after the thread, which is the caller's own, is to stop."""
        while not thread.is_stopping:
            try:
                # A pipe is opened without waiting for its writer.
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                self.fault = f"{self._path}: {error.strerror}; is openvpn-mq-trace.service running?"
                thread.wait(1.0)
                continue
            try:
                self._follow(descriptor, thread)
            except OSError as error:
                self.fault = f"{self._path}: {error.strerror}"
                thread.wait(1.0)
            finally:
                os.close(descriptor)

    def _follow(self, descriptor: int, thread: BackgroundThread) -> None:
        splitter = LineSplitter()
        poller = select.poll()  # not select(), which takes no descriptor above 1023
        poller.register(descriptor, select.POLLIN)
        while not thread.is_stopping:
            poller.poll(_PAUSE * 1000)
            try:
                piece = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                continue  # the writer has written nothing
            if piece:
                self.fault = None
                for line in splitter.split(piece):
                    self._on_line(line)
            elif self._replaced(descriptor):
                return
            else:
                thread.wait(_PAUSE)

    def _replaced(self, descriptor: int) -> bool:
        """Return whether the path leads to another file by now, or the file was truncated."""
        try:
            there = self._path.stat()
        except OSError:
            return True
        ours = os.fstat(descriptor)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            return True
        return stat.S_ISREG(ours.st_mode) and ours.st_size < os.lseek(descriptor, 0, os.SEEK_CUR)
