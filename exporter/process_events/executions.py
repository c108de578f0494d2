"""Executions of chosen programs, reported by fanotify (FAN_OPEN_EXEC), which needs no rights from Linux 5.13 on.

A process that comes and goes within a millisecond leaves its program here, in the order of the executions.
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_CLASS_NOTIF: Final = 0x0
_CLOEXEC: Final = 0x1
_NONBLOCK: Final = 0x2
_REPORT_FID: Final = 0x200
_MARK_ADD: Final = 0x1
_OPEN_EXEC: Final = 0x1000
_AT_FDCWD: Final = -100
_AT_SYMLINK_FOLLOW: Final = 0x400

_EVENT: Final = struct.Struct("=IBBHQii")  # length, version, reserved, length of this, mask, fd, pid
_INFO: Final = struct.Struct("=BBH 8x Ii")  # type, padding, length, (file system), bytes of the handle, its type
_HANDLE: Final = struct.Struct("=Ii")
_HANDLE_BYTES: Final = 128  # MAX_HANDLE_SZ
_READ: Final = 1 << 12  # bytes: some fifty events
_LONGEST_EVENT: Final = _EVENT.size + _INFO.size + _HANDLE_BYTES

_libc: Final = ctypes.CDLL(None, use_errno=True)


Program = bytes  # identifies a file on this host, by whatever path


class Execution(NamedTuple):
    """A marked program was executed."""

    program: Program
    pid: int  # 0: the kernel tells only those with CAP_SYS_ADMIN


class Executions:
    """An open fanotify group. Used by one thread."""

    def __init__(self) -> None:
        """Raise OSError if the kernel has no such thing, or refuses it to this process."""
        self._file = _checked(_libc.fanotify_init(_CLASS_NOTIF | _CLOEXEC | _NONBLOCK | _REPORT_FID, os.O_RDONLY))
        self._marked: set[Program] = set()

    def fileno(self) -> int:
        """Return the file descriptor, to wait for executions."""
        return self._file

    def mark(self, path: str) -> Program | None:
        """Report when the file is executed; None if it is not there or may not be read, or its file system cannot."""
        try:
            program = _handle(path)
            if program not in self._marked:
                mask = ctypes.c_uint64(_OPEN_EXEC)
                _checked(_libc.fanotify_mark(self._file, _MARK_ADD, mask, _AT_FDCWD, os.fsencode(path)))
                self._marked.add(program)
        except OSError:
            return None
        return program

    def read(self) -> list[Execution]:
        """Return what has been executed since the last call, in that order."""
        executed: list[Execution] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = os.read(self._file, _READ)
                executed += parse(data)
                if len(data) <= _READ - _LONGEST_EVENT:
                    break  # there was room for another one
        return executed

    def close(self) -> None:
        """End the reports."""
        os.close(self._file)


def parse(data: bytes) -> Iterator[Execution]:
    """Yield the executions in what was read from fanotify; a note that its queue was full is none."""
    start = 0
    while start < len(data):
        length, _, _, information, _, _, pid = _EVENT.unpack_from(data, start)
        if length >= information + _INFO.size:
            begin = start + information + _INFO.size
            *_, size, kind = _INFO.unpack_from(data, start + information)
            yield Execution(_HANDLE.pack(size, kind) + data[begin : begin + size], pid)
        start += length


def _handle(path: str) -> Program:
    """Return what identifies the file: struct file_handle."""
    buffer = ctypes.create_string_buffer(_HANDLE.pack(_HANDLE_BYTES, 0), _HANDLE.size + _HANDLE_BYTES)
    mount = ctypes.c_int()
    _checked(_libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), buffer, ctypes.byref(mount), _AT_SYMLINK_FOLLOW))
    size, _ = _HANDLE.unpack_from(buffer.raw)
    return buffer.raw[: _HANDLE.size + size]


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
