"""Verdicts of deferred scripts: a process in the background watches OpenVPN's control files until they have an answer.

OpenVPN waits only for the hook itself. Later hooks leave their control files to the process that is there already: it
reads their names in the record, which it keeps locked. So there is one such process per record, and it ends by itself.
"""

import _signal  # type: ignore[import-not-found]  # as in script.py
import fcntl
import json
import os
import time

from exporter.hook.jsonline import Value, encode
from exporter.hook.record import Record, tell

_INTERVAL = 0.05  # seconds between two looks
_LINGER = 10.0  # seconds without an open verdict, after which the process ends
_LIMIT = 600.0  # seconds after which a verdict is no longer waited for; OpenVPN itself gives up far earlier
_MOST = 1000  # open verdicts
_READ = 1 << 16  # bytes
_VERDICTS = {b"1": "ok", b"0": "refused"}
_IDENTITY = ("server", "hook", "pid", "pid_start_ticks", "pid_namespace")


def watch(path: str, record: Record) -> None:
    """Leave a process behind that records verdicts, unless there is one. Never raises."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # the process that has it locked will read the line
        if os.fork() == 0:
            try:
                _detach(file)
                _Watch(file, path, record).run()
            finally:
                os._exit(0)
    except OSError as error:
        tell(f"the verdict will not be recorded: {error.strerror}")


def _detach(file: int) -> None:
    """Keep nothing of OpenVPN's but the record."""
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)  # which the hook ignores by now; its unit may be stopped
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, file)
    os.closerange(file + 1, 256)


class _Deferred:
    """A script that has ended and not yet answered."""

    def __init__(self, fields: dict[str, Value]) -> None:
        """Take a line of the record, and open its control file.

        Raises KeyError, TypeError or ValueError if the line is not the hook's or not of these minutes, OSError if the
        file is gone.
        """
        self.identity: dict[str, Value] = {key: fields[key] for key in _IDENTITY if key in fields}
        self.began = float(fields["time"] or 0) - float(fields.get("script_seconds") or 0)
        if not abs(time.time() - self.began) < _LIMIT:  # nor is it a number, perhaps
            raise ValueError
        self._path = str(fields["control_file"]).encode()
        # Once open, it can be read after OpenVPN has removed it.
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)

    def verdict(self, now: float) -> tuple[str, float] | None:
        """Return the verdict and when it was given; None while there is none."""
        found = os.fstat(self._file)
        answer = _VERDICTS.get(os.pread(self._file, 1, 0))
        if answer:
            return answer, found.st_mtime
        if found.st_nlink and now - self.began < _LIMIT:
            return None
        self.close()
        try:  # written anew under its name, perhaps
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return "undecided", now
        return ("undecided", now) if now - self.began >= _LIMIT else None

    def close(self) -> None:
        """Close the control file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class _Watch:
    """The process in the background."""

    def __init__(self, file: int, path: str, record: Record) -> None:
        self._file = file
        self._path = path
        # Another hook's line may be before that of the hook that got the lock.
        self._position = max(0, os.fstat(file).st_size - _READ)
        self._record = record
        self._open: list[_Deferred] = []

    def run(self) -> None:
        """Read the record and the control files until there has been nothing to wait for, for a while."""
        idle_since = time.monotonic()
        while True:
            self._read()
            now = time.time()
            for deferred in list(self._open):
                verdict = deferred.verdict(now)
                if verdict:
                    self._open.remove(deferred)
                    deferred.close()
                    self._write(deferred, *verdict)
            if self._open:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= _LINGER or self._is_rotated():
                return  # right behind a look: hooks that find the record locked rely on one after their line
            time.sleep(_INTERVAL)

    def _read(self) -> None:
        """Take the lines that are new and whole."""
        if os.fstat(self._file).st_size < self._position:
            self._position = 0  # it was truncated
        lines, newline, _ = os.pread(self._file, _READ, self._position).rpartition(b"\n")
        self._position += len(lines) + len(newline)
        for line in lines.split(b"\n"):
            try:
                if b'"control_file":' in line and len(self._open) < _MOST:
                    self._open.append(_Deferred(json.loads(line)))
                elif b'"event":"verdict"' in line:
                    self._forget(json.loads(line))
            except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue  # its control file is gone already, or it is not the hook's line

    def _forget(self, fields: dict[str, Value]) -> None:
        """Take a verdict that is recorded, perhaps by an earlier process than this."""
        for deferred in list(self._open):
            if all(fields[key] == value for key, value in deferred.identity.items()):
                self._open.remove(deferred)
                deferred.close()

    def _write(self, deferred: _Deferred, verdict: str, at: float) -> None:
        seconds = max(0.0, at - deferred.began)
        told: dict[str, Value] = {"verdict": verdict, "verdict_seconds": seconds}
        self._record.write(encode({"time": time.time(), "event": "verdict", **deferred.identity, **told}))

    def _is_rotated(self) -> bool:
        try:
            return os.stat(self._path).st_ino != os.fstat(self._file).st_ino
        except OSError:
            return True
