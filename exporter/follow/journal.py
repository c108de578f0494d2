"""The lines of a systemd unit, by a `journalctl --follow` that is kept running."""

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, Final

from exporter.follow.base import BATCH, OnLines, Source
from exporter.follow.positions import Positions

_CURSOR_TIMEOUT: Final = 30.0  # seconds to find the journal's end in
_MAX_ENTRY: Final = 4 * 1024 * 1024  # bytes of one entry as JSON; a longer one is a line that nobody can read


class JournalError(Exception):
    """journalctl said no; the message is its own."""


class FollowedUnit(Source):
    """Hands over each line that a unit writes to the journal from the first poll on, or since the remembered cursor.

    What the unit's main program wrote goes to `on_lines`, what programs that it ran wrote goes to `on_other_lines`,
    told apart by the name that journald recorded (_COMM). If it recorded none, because the program had ended before it
    looked, the line counts as the main program's, whose last lines must not be missed. After each batch the cursor is
    saved: if the process is killed in between, the batch is read again after the restart, when the counters are at zero
    again too.
    """

    def __init__(
        self,
        unit: str,
        program: str,
        on_lines: OnLines,
        on_other_lines: OnLines,
        positions: Positions,
        command: Sequence[str] = ("journalctl",),
    ) -> None:
        """No child is started before the first poll. `program` is how the names of the main program begin."""
        super().__init__()
        self._unit = unit
        self._program = program
        self._on_lines = on_lines
        self._on_other_lines = on_other_lines
        self._positions = positions
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""  # of an entry of which the end has not come yet
        self._passing = False  # over an entry that is too long
        self._begun_at: str | None = None  # the cursor of an entry that has been read already

    def poll(self) -> bool:
        """As Source has it. Raises JournalError or OSError where journalctl does not run."""
        self._child = self._child or self._start()
        assert self._child.stdout  # noqa: S101  # for the type checker: it was started with a pipe
        try:
            data = os.read(self._child.stdout.fileno(), BATCH)
        except BlockingIOError:
            return False
        if not data:
            raise JournalError(f"journalctl ended: {self._end()}")
        *entries, self._rest = (self._rest + data).split(b"\n")
        if self._passing and entries:
            entries[0], self._passing = b"{}", False
        if len(self._rest) > _MAX_ENTRY:
            self._rest, self._passing = b"", True
        if entries:
            self._hand_over([json.loads(entry) for entry in entries])
        return True

    def close(self) -> None:
        """End the child."""
        if self._child:
            self._child.kill()
            self._end()

    def _hand_over(self, entries: list[dict[str, Any]]) -> None:
        # journalctl's own --after-cursor passes over one line too many where the cursor is at another unit's entry.
        entries = [entry for entry in entries if entry.get("__CURSOR", "") != self._begun_at]
        own = b"".join(line_of(entry) for entry in entries if self._is_own(entry))
        others = b"".join(line_of(entry) for entry in entries if not self._is_own(entry))
        if own:
            self._on_lines(own)
        if others:
            self._on_other_lines(others)
        cursors = [entry["__CURSOR"] for entry in entries if "__CURSOR" in entry]
        if cursors:
            self._positions.save(self._unit, {"cursor": cursors[-1]})

    def _is_own(self, entry: dict[str, Any]) -> bool:
        return str(entry.get("_COMM", self._program)).startswith(self._program)

    def _start(self) -> subprocess.Popen[bytes]:
        saved = self._positions.load(self._unit)
        if not isinstance(saved, dict) or not isinstance(saved.get("cursor", ""), str | None):
            saved = {"cursor": self._journal_end()}
            self._positions.save(self._unit, saved)
        cursor = self._begun_at = saved.get("cursor")
        self._rest, self._passing = b"", False
        child = subprocess.Popen(  # noqa: S603  # the command is ours; unit and cursor are single arguments
            [
                *(*self._command, "--follow", "--no-tail", "--all", "--output=json", "--output-fields=MESSAGE,_COMM"),
                *([f"--cursor={cursor}"] if cursor else []),
                f"_SYSTEMD_UNIT={self._unit}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout  # noqa: S101  # for the type checker
        os.set_blocking(child.stdout.fileno(), False)
        return child

    def _journal_end(self) -> str | None:
        """The cursor of the last entry, whatever unit it is of; None where the journal is empty."""
        done = subprocess.run(  # noqa: S603  # the command is ours
            [*self._command, "--lines=0", "--show-cursor"],
            capture_output=True, text=True, check=False, timeout=_CURSOR_TIMEOUT,
        )  # fmt: skip
        error = _last_line(done.stderr)
        if done.returncode and error and "No journal files were found" not in error:  # it fails on an empty journal
            raise JournalError(f"journalctl failed: {error}")
        return done.stdout.partition("-- cursor: ")[2].strip() or None

    def _end(self) -> str:
        """Wait for the child, which is ending; what it said last."""
        child, self._child = self._child, None
        if not child:
            return ""
        try:
            child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdout  # noqa: S101  # for the type checker, as below: it was started with pipes
        assert child.stderr  # noqa: S101
        with child.stdout, child.stderr:
            os.set_blocking(child.stderr.fileno(), False)
            errors = child.stderr.read() or b""  # None where there is nothing, and a grandchild has it open still
        return _last_line(errors.decode(errors="replace")) or f"status {child.returncode}"


def line_of(entry: dict[str, Any]) -> bytes:
    """The line of an entry, as `journalctl --output=json` gives it, with a newline.

    MESSAGE is text, or a list of bytes where it is not UTF-8, or a list of such where there are several; an entry
    that has none is an empty line. A newline in a message becomes a space: an entry is one line.
    """
    message = entry.get("MESSAGE")
    parts = message if isinstance(message, list) and not all(isinstance(part, int) for part in message) else [message]
    texts = [part.encode(errors="replace") if isinstance(part, str) else bytes(part or b"") for part in parts]
    return b" ".join(texts).replace(b"\n", b" ")[:BATCH] + b"\n"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
