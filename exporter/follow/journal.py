"""The lines of a systemd unit, by a `journalctl --follow` that is kept running."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from exporter.follow.base import BATCH, OnLines, Source
from exporter.follow.child import Child, End
from exporter.follow.positions import Positions

_log = logging.getLogger(__name__)

_FIND_TIMEOUT: Final = 30.0  # seconds to find the journal's end
_PROVEN_AFTER: Final = 5.0  # seconds after which a journalctl that has not failed is taken to read the journal
_ENDING_TIME: Final = 1.0  # seconds for a journalctl that has closed its output to end
_MAX_ENTRY: Final = 4 * 1024 * 1024  # bytes of one entry as JSON; a longer one becomes an empty line


class JournalError(Exception):
    """journalctl failed; the message is its own."""


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
        programs: str | tuple[str, ...],
        on_lines: OnLines,
        on_other_lines: OnLines,
        positions: Positions,
        command: Sequence[str] = ("journalctl",),
        clock: Callable[[], float] = time.monotonic,
        machine_id: Path = Path("/etc/machine-id"),
    ) -> None:
        """No child is started before the first poll. `programs` is how names of the main program may begin."""
        super().__init__()
        self._unit = unit
        self._programs = programs
        self.times: Sequence[float] = ()  # when the lines at hand were written, in seconds since 1970
        self._on_lines = on_lines
        self._on_other_lines = on_other_lines
        self._positions = positions
        self._command = command
        self._machine_id = machine_id
        self._clock = clock
        self._child: Child | None = None
        self._child_started = 0.0
        self._finding: bytes | None = None  # what the child has printed so far while it finds the journal's end
        self._loaded = False
        self._cursor: str | None = None  # of the last entry handed over; "" at the beginning; None: still to be found
        self._skipped: str | None = None  # the cursor of an entry that has been handed over already
        self._rest = b""  # of an entry whose end has not been read yet
        self._in_long_entry = False  # the rest of an entry that is too long is being skipped

    def poll(self) -> bool | None:
        """Hand over at most one batch. Raises JournalError or OSError if journalctl does not run."""
        if not self._loaded:
            self._cursor = _cursor(self._positions.load(self._unit))
            self._loaded = True
        if self._child is None:
            self._start()
        return self._follow() if self._finding is None else self._find()

    def close(self) -> None:
        """Kill the child."""
        self._end(0.0)

    def _start(self) -> None:
        if self._cursor is None:
            self._child = Child([*self._command, "--lines=0", "--show-cursor"])
            self._finding = b""
        else:
            self._child = Child(
                [
                    # --follow alone shows lines of the present boot only: those between the last batch and a reboot
                    # would be lost. --merge takes all, other hosts' too, if this one collects them.
                    *(*self._command, "--follow", "--no-tail", "--all", "--merge"),
                    *("--output=json", "--output-fields=MESSAGE,_COMM"),
                    *([f"--cursor={self._cursor}"] if self._cursor else []),
                    f"_SYSTEMD_UNIT={self._unit}",
                    *self._this_host(),
                ]
            )
            self._skipped, self._rest, self._in_long_entry = self._cursor or None, b"", False
        self._child_started = self._clock()

    def _this_host(self) -> list[str]:
        try:
            return [f"_MACHINE_ID={self._machine_id.read_text().strip()}"]
        except OSError:
            return []

    def _find(self) -> bool | None:
        """Find the cursor of the journal's last entry, of whatever unit."""
        assert self._child is not None  # noqa: S101  # for the type checker, as below
        assert self._finding is not None  # noqa: S101
        data = self._child.read(BATCH)
        if data is None:
            if self._clock() - self._child_started > _FIND_TIMEOUT:
                self._end(0.0)
                raise JournalError(f"journalctl has not found the journal's end in {_FIND_TIMEOUT:.0f} seconds")
            return None
        self._finding = (self._finding + data)[-BATCH:]
        if data:
            return True
        output = self._finding.decode(errors="replace")
        end = self._end(_ENDING_TIME)
        # On an empty journal it fails, too: with this message, or with none.
        if end and end.status and (end.status != 1 or (end.said and "No journal files were found" not in end.said)):
            raise JournalError(f"journalctl failed: {end}")
        self._cursor = output.partition("-- cursor: ")[2].strip()
        self._save()
        return True

    def _follow(self) -> bool | None:
        assert self._child is not None  # noqa: S101  # for the type checker
        data = self._child.read(BATCH)
        if data is None:
            return False if self._clock() - self._child_started > _PROVEN_AFTER else None
        if not data:
            end = self._end(_ENDING_TIME)
            if self._cursor and end and "seek to cursor" in end.said:
                self._cursor = None
                _log.warning(f"{self._unit}: {end.said}; it is read from the journal's end, and lines may be missing")
            raise JournalError(f"journalctl ended: {end}")
        *entries, self._rest = (self._rest + data).split(b"\n")
        if self._in_long_entry and entries:
            entries[0], self._in_long_entry = b"{}", False
        if len(self._rest) > _MAX_ENTRY:
            self._rest, self._in_long_entry = b"", True
        if entries:
            self._hand_over([json.loads(entry) for entry in entries])
        return True

    def _hand_over(self, entries: list[dict[str, Any]]) -> None:
        # journalctl's own --after-cursor skips one entry too many if the cursor is at another unit's entry.
        entries = [entry for entry in entries if entry.get("__CURSOR", "") != self._skipped]
        own_entries = [entry for entry in entries if self._is_own(entry)]
        own = b"".join(line_of(entry) for entry in own_entries)
        self.times = [int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6 for entry in own_entries]
        others = b"".join(line_of(entry) for entry in entries if not self._is_own(entry))
        if own:
            self._on_lines(own)
        if others:
            self._on_other_lines(others)
        cursors = [entry["__CURSOR"] for entry in entries if "__CURSOR" in entry]
        if cursors:
            self._cursor = cursors[-1]
            self._save()

    def _is_own(self, entry: dict[str, Any]) -> bool:
        return "_COMM" not in entry or str(entry["_COMM"]).startswith(self._programs)

    def _end(self, patience: float) -> End | None:
        child, self._child, self._finding = self._child, None, None
        return child.end(patience) if child else None

    def _save(self) -> None:
        self._positions.save(self._unit, {"cursor": self._cursor or None})


def _cursor(saved: object) -> str | None:
    """Return the cursor that was saved, "" for the journal's beginning; None if there is none that makes sense."""
    cursor = saved.get("cursor", "") if isinstance(saved, dict) else 0
    return cursor or "" if isinstance(cursor, str | None) else None


def line_of(entry: dict[str, Any]) -> bytes:
    """Return the line of an entry, as `journalctl --output=json` prints it, with a newline.

    MESSAGE is text, or a list of bytes if it is not UTF-8, or a list of these if the entry has several; an entry
    without one is an empty line. A newline in a message becomes a space: an entry is one line.
    """
    message = entry.get("MESSAGE")
    parts = message if isinstance(message, list) and not all(isinstance(part, int) for part in message) else [message]
    texts = [part.encode(errors="replace") if isinstance(part, str) else bytes(part or b"") for part in parts]
    return b" ".join(texts).replace(b"\n", b" ")[:BATCH] + b"\n"
