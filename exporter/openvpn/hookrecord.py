"""The lines that openvpn-mq-hook writes around each script: one at the start, one at the end."""

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

HOOKS: Final = (
    "client-connect", "client-disconnect", "learn-address", "auth-user-pass-verify", "tls-verify",
    "tls-crypt-v2-verify", "client-crresponse", "up", "down", "route-up", "route-pre-down", "ipchange", "dns-updown",
    "other",
)  # fmt: skip
FAILURES: Final = ("exit_status", "not_executable", "signal", "timeout")
DROPS: Final = ("full", "no_queue", "too_big", "denied", "other")

_GOOD: Final = frozenset({"ok", "deferred", "unwatched"})
_QUEUE: Final = re.compile(r"0x[0-9a-f]{8}|ftok:/.{0,200}:[0-9]{1,3}")
# A full disk can end a line in the middle, and the next hook's line then stands right behind. A quotation mark within
# a text is escaped, so this occurs at the beginning of a line only.
_BEGINNING: Final = b'{"time":'


class Run(NamedTuple):
    """One run of the hook, told from every other by its process."""

    server: str  # as the hook calls it
    hook: str  # one of HOOKS
    pid: int
    start_ticks: int | None  # when the process began, in clock ticks after boot; None: not known
    namespace: int | None  # the inode of its pid namespace


class Start(NamedTuple):
    """A script is about to run."""

    run: Run


class End(NamedTuple):
    """It has ended."""

    run: Run
    failure: str | None  # one of FAILURES
    seconds: float | None  # that the script took; None: none ran, or nobody watched
    queue: str | None  # that a status update was for: a key as ipcs prints it, or ftok:PATH:ID
    drop: str | None  # one of DROPS, where the update did not reach the queue


def parse(batch: bytes) -> Iterator[Start | End | None]:
    """What each line says, in order; None for one that the hook did not write, or not to its end."""
    for line in batch.splitlines():
        if line:
            yield _parse(line[max(0, line.rfind(_BEGINNING)) :])


def _parse(line: bytes) -> Start | End | None:
    try:
        fields = json.loads(line)
        hook = _text(fields["hook"])
        run = Run(
            server=_text(fields["server"]),
            hook=hook if hook in HOOKS else "other",
            pid=_whole(fields["pid"]),
            start_ticks=_whole(fields["pid_start_ticks"]) if "pid_start_ticks" in fields else None,
            namespace=_whole(fields["pid_namespace"]) if "pid_namespace" in fields else None,
        )
        if fields["event"] == "start":
            return Start(run)
        if fields["event"] == "end":
            return _end(run, fields)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # whatever it is, it is not the hook's
    return None


def _end(run: Run, fields: dict[str, object]) -> End:
    result, seconds, queue, update = (fields.get(key) for key in ("result", "script_seconds", "queue", "update"))
    if result not in _GOOD and result not in FAILURES:
        raise ValueError(result)
    if seconds is not None and not (isinstance(seconds, int | float) and 0 <= seconds < float("inf")):
        raise ValueError(seconds)
    if queue is not None and not _QUEUE.fullmatch(_text(queue)):
        raise ValueError(queue)
    return End(
        run,
        failure=str(result) if result in FAILURES else None,
        seconds=None if seconds is None else float(seconds),
        queue=None if queue is None else str(queue),
        drop=None if queue is None or update == "sent" else str(update) if update in DROPS else "other",
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value
