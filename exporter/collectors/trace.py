"""Collector `trace`: what msgsnd and msgrcv did, counted in the kernel by a bpftrace program (see exporter/trace)."""

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from exporter.background import BackgroundThread
from exporter.collectors.base import Collector, CollectorSpec, Families, Flags, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import QueueSettings, Scrape
from exporter.collectors.trace_families import families
from exporter.config.flags import value
from exporter.procfs import own_ipc_namespace
from exporter.sysv.names import labels
from exporter.sysv.queues import MalformedError
from exporter.sysv.sleepers import system_calls
from exporter.trace.bpftrace import PROGRAM, Child, command, environment
from exporter.trace.pipe import Input
from exporter.trace.totals import TraceTotals, identify

_MAX_SILENCE: Final = 15.0  # seconds without a print (or three times the usual interval) are a fault
_REPLACE_AFTER: Final = 4.0  # times that: the child is replaced


class TraceSettings(NamedTuple):
    """What --trace.* set."""

    input: Path | None = None  # where a bpftrace that systemd runs writes to; None: run one as a child
    max_queues: int = 1024


class TraceCollector(Collector):
    """Follows bpftrace in a background thread."""

    def __init__(self, context: BuildContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings = context.settings.of(TraceSettings)
        self._wants = context.settings.of(QueueSettings).wants
        self._reader = context.reader
        self._names = context.names
        self._clock = clock
        self._totals = TraceTotals(settings.max_queues)
        self._source = self._choose(settings.input)
        self._last_print = clock()
        self._print_interval = 0.0  # seconds between the last two prints
        self._thread = BackgroundThread("trace", self._round)

    def start(self) -> None:
        """Learn which queues exist, and start following."""
        self._update_keys()
        self._thread.start()

    def stop(self) -> None:
        """Stop following; a child is killed."""
        self._thread.stop()

    def collect(self, scrape: Scrape) -> Families:
        """Return the counters. Raise PartialResultError, with them, if bpftrace does not print at present."""
        if system_calls() is None:
            raise PartialResultError("programs on this machine may use ipc(2) for msgsnd, which is not counted")
        fault = self._thread.fault or self._source.fault
        silent = self._silence() > self._max_silence()
        if self._totals.prints == 0:
            if fault or silent:
                raise PartialResultError(fault or "bpftrace prints nothing")
            return []  # it takes a second or two to start
        own = own_ipc_namespace()
        if self._totals.namespace not in (None, own):
            raise PartialResultError(
                f"bpftrace counts IPC namespace {self._totals.namespace}, the exporter is in {own}: "
                "run both in the same one"
            )
        counted = self._families(scrape)
        if fault:
            raise PartialResultError(fault, counted)
        if silent:
            raise PartialResultError(
                "bpftrace has stopped printing; what it counts will be seen when it goes on", counted
            )
        return counted

    def _round(self) -> float:
        self._source.run(self._thread)
        return 0.0

    def _choose(self, path: Path | None) -> Child | Input:
        if path:
            return Input(path, self._on_line)
        return Child(command(), environment(self._settings.max_queues), self._on_line, self._is_hung)

    def _on_line(self, line: bytes) -> None:
        before = self._totals.prints
        if self._totals.feed(line):
            self._update_keys()
        if self._totals.prints != before:
            now = self._clock()
            self._print_interval = now - self._last_print
            self._last_print = now

    def _update_keys(self) -> None:
        """Read the keys of the queues that exist. If that fails, the scrape reports it."""
        with contextlib.suppress(OSError, MalformedError):
            self._totals.update_keys(self._reader.read())

    def _silence(self) -> float:
        return self._clock() - self._last_print

    def _max_silence(self) -> float:
        return max(_MAX_SILENCE, 3 * self._print_interval)

    def _is_hung(self, started: float) -> bool:
        return self._clock() - max(self._last_print, started) > _REPLACE_AFTER * self._max_silence()

    def _families(self, scrape: Scrape) -> Families:
        queues = scrape.queues.everything
        self._totals.update_keys(queues)
        totals = self._totals.totals()
        for msqid, key in zip(queues.msqid, queues.key, strict=True):
            if len(totals) >= self._settings.max_queues:
                break
            totals.setdefault(identify(msqid, key), Counter())  # exists but unused: its counters are 0
        keys, msqids = [queue.key for queue in totals], [queue.msqid for queue in totals]
        named = zip(labels(keys, msqids, self._names.by_key()), totals.values(), strict=True)
        return families(self._totals, {label: counted for label, counted in named if self._wants(label)})


def _build(context: BuildContext) -> TraceCollector | None:
    """Return None for --once: a single reading has nothing to count yet."""
    return None if context.settings.once else TraceCollector(context)


def _add_flags(group: argparse._ArgumentGroup) -> None:  # argparse has no public name for a group
    group.add_argument(
        "--trace.input", dest="trace_input", metavar="PATH", type=Path,
        help="named pipe (or file) that openvpn-mq-trace.service writes to; without it, bpftrace is run as a child",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    group.add_argument(
        "--trace.max-queues", dest="trace_max_queues", metavar="N", type=value(_bound),
        default=TraceSettings().max_queues,
        help="maximum number of queues that are counted, and of threads that use queues (default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--trace.print-program", action=_PrintProgram, nargs=0, help="print the bpftrace program, for its own service",
    )  # fmt: skip


class _PrintProgram(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_ignored: object) -> None:
        sys.stdout.write(PROGRAM.read_text())
        parser.exit()


def _bound(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 64 <= int(text) <= 1 << 20:
        raise ValueError(f"{text!r} is not a number of queues to trace; write a whole number from 64 to 1048576")
    return int(text)


SPEC: Final = CollectorSpec(
    "trace",
    False,
    _build,
    "what msgsnd and msgrcv did, counted in the kernel; needs bpftrace and root",
    Flags(_add_flags, lambda options: TraceSettings(options.trace_input, options.trace_max_queues)),
)
