"""The record of openvpn-mq-hook: a JSON line before each script and one after it; and the runs that are open in it."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeGuard, get_args

HookName = Literal[
    "client-connect", "client-disconnect", "learn-address", "auth-user-pass-verify", "tls-verify",
    "tls-crypt-v2-verify", "client-crresponse", "up", "down", "route-up", "route-pre-down", "ipchange", "dns-updown",
    "other",
]  # fmt: skip
RunFailure = Literal["exit_status", "not_executable", "signal", "timeout"]
UpdateDrop = Literal["full", "no_queue", "too_big", "denied", "other"]

VerdictResult = Literal["ok", "refused", "undecided"]

HOOK_NAMES: Final[tuple[HookName, ...]] = get_args(HookName)
RUN_FAILURES: Final[tuple[RunFailure, ...]] = get_args(RunFailure)
UPDATE_DROPS: Final[tuple[UpdateDrop, ...]] = get_args(UpdateDrop)
VERDICTS: Final[tuple[VerdictResult, ...]] = get_args(VerdictResult)
DEFERRING_HOOKS: Final[tuple[HookName, ...]] = ("auth-user-pass-verify", "client-connect")

_NO_FAILURES: Final = frozenset({"ok", "deferred", "unwatched"})
# The hook cuts every text at 256 characters, so of a long path neither the end nor the project id need be there.
_QUEUE: Final = re.compile(r"0x[0-9a-f]{8}|ftok:/.{0,250}", re.DOTALL)
# A full disk can cut off a line, and the next hook's line then follows on the same line. Within a text the quotation
# marks are escaped, so this is found only at the start of a record.
_LINE_START: Final = b'{"time":'
_MAX_TEXT: Final = 256  # characters at which the hook cuts every text
_MAX_RUNS: Final = 1000  # open runs that are kept; any process that can write to the record could make up more


def possible_hooks(hooks: frozenset[str] | None) -> tuple[HookName, ...]:
    """Return the hooks that can be in the record of a server with scripts or plugins at `hooks` only (None: any).

    "other" always can: it is what a script counts as if nothing tells its hook.
    """
    return tuple(name for name in HOOK_NAMES if hooks is None or name in hooks or name == "other")


class Run(NamedTuple):
    """One run of the hook, identified by its process."""

    server: str  # as the hook names it
    hook: HookName
    pid: int
    start_ticks: int | None  # when the process started, in clock ticks after boot; None: not known
    namespace: int | None  # the inode of its pid namespace


class Start(NamedTuple):
    """The line before a script."""

    run: Run


class End(NamedTuple):
    """The line after a script."""

    run: Run
    failure: RunFailure | None
    seconds: float | None  # that the script took; None: there was none, or the hook could not watch it
    queue: str | None  # of the status update: a key as ipcs prints it, or ftok:PATH:ID
    drop: UpdateDrop | None  # why the update did not reach the queue


class Verdict(NamedTuple):
    """The line about the answer of a script that had deferred it."""

    run: Run
    result: VerdictResult
    seconds: float  # from the start of the script


class OpenRuns:
    """The runs that have started and not ended, in the order of their starts; changed by one thread only."""

    def __init__(self, saved: object = None) -> None:
        """Start from what `runs` returned earlier, after a round trip through JSON; ignore anything malformed."""
        self._runs: dict[Run, None] = {}
        if isinstance(saved, list):
            with contextlib.suppress(TypeError):
                self._runs = dict.fromkeys(Run(*values) for values in saved)

    def runs(self) -> list[Run]:
        """Return the runs; safe in any thread."""
        return list(self._runs)

    def start(self, run: Run) -> None:
        """Add a run; beyond 1000, the oldest is forgotten."""
        if len(self._runs) >= _MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[run] = None

    def end(self, run: Run) -> bool:
        """Remove a run; return whether it was open."""
        if run not in self._runs:
            return False
        del self._runs[run]
        return True


def parse_record(batch: bytes) -> Iterator[Start | End | Verdict | None]:
    """Parse whole lines in order; None for one that openvpn-mq-hook did not write, or not to its end."""
    for line in batch.splitlines():
        if line:
            yield _parse_line(line[max(0, line.rfind(_LINE_START)) :])


def _parse_line(line: bytes) -> Start | End | Verdict | None:
    try:
        fields = json.loads(line)
        hook = _text(fields["hook"])
        run = Run(
            server=_text(fields["server"]),
            hook=hook if _is_hook(hook) else "other",
            pid=_whole(fields["pid"]),
            start_ticks=_whole(fields["pid_start_ticks"]) if "pid_start_ticks" in fields else None,
            namespace=_whole(fields["pid_namespace"]) if "pid_namespace" in fields else None,
        )
        if fields["event"] == "start":
            return Start(run)
        if fields["event"] == "end":
            return _end(run, fields)
        if fields["event"] == "verdict" and _is_verdict(fields["verdict"]):
            return Verdict(run, fields["verdict"], _seconds(fields["verdict_seconds"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # another program's line
    return None


def _end(run: Run, fields: dict[str, object]) -> End:
    result, seconds, queue, update = (fields.get(key) for key in ("result", "script_seconds", "queue", "update"))
    failure = result if _is_failure(result) else None
    if failure is None and result not in _NO_FAILURES:
        raise ValueError(result)
    if queue is not None and not _QUEUE.fullmatch(_text(queue)):
        raise ValueError(queue)
    return End(
        run,
        failure=failure,
        seconds=None if seconds is None else _seconds(seconds),
        queue=None if queue is None else str(queue),
        drop=None if queue is None or update == "sent" else update if _is_drop(update) else "other",
    )


def _is_hook(name: str) -> TypeGuard[HookName]:
    return name in HOOK_NAMES


def _is_failure(result: object) -> TypeGuard[RunFailure]:
    return result in RUN_FAILURES


def _is_drop(update: object) -> TypeGuard[UpdateDrop]:
    return update in UPDATE_DROPS


def _is_verdict(result: object) -> TypeGuard[VerdictResult]:
    return result in VERDICTS


def _seconds(value: object) -> float:
    if not (isinstance(value, int | float) and 0 <= value <= sys.float_info.max):  # JSON has larger whole numbers
        raise ValueError(value)
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    if len(value) > _MAX_TEXT:
        raise ValueError(value[:_MAX_TEXT])
    value.encode()  # raises ValueError for half a character, which JSON can spell and a label cannot
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(value)
    if not 0 <= value < 1 << 64:
        raise ValueError
    return value
