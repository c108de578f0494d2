"""Collector `trace`: what msgsnd and msgrcv did, counted in the kernel by a bpftrace program (see exporter/trace)."""

import argparse
import contextlib
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.core import HistogramMetricFamily

from exporter.collectors.base import Collector, CollectorSpec, Families, Flags, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import QueueSettings, Scrape
from exporter.config.flags import value
from exporter.exposition.families import Metric
from exporter.procfs import own_ipc_namespace
from exporter.sysv.names import labels
from exporter.sysv.queues import MalformedError
from exporter.sysv.sleepers import system_calls
from exporter.trace.bpftrace import Child, command, environment
from exporter.trace.pipe import Input
from exporter.trace.totals import ERRNOS, WAITS, Tally, identify

_SCOPE: Final = "counted in the kernel by bpftrace since it started, for the exporter's own IPC namespace"


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_text, labels)


SENT: Final = _counter(
    "sysv_msg_queue_sent_messages_total",
    f"Messages that msgsnd accepted (sys_exit_msgsnd, ret 0), {_SCOPE}.",
    "queue",
)
SENT_BYTES: Final = _counter(
    "sysv_msg_queue_sent_bytes_total",
    f"Bytes of messages that msgsnd accepted (msgsz of sys_enter_msgsnd), {_SCOPE}.",
    "queue",
)
RECEIVED: Final = _counter(
    "sysv_msg_queue_received_messages_total",
    f"Messages that msgrcv delivered (sys_exit_msgrcv, ret >= 0, without MSG_COPY), {_SCOPE}.",
    "queue",
)
RECEIVED_BYTES: Final = _counter(
    "sysv_msg_queue_received_bytes_total",
    f"Bytes of messages that msgrcv delivered (ret of sys_exit_msgrcv), {_SCOPE}.",
    "queue",
)
FAILURES: Final = _counter(
    "sysv_msg_queue_send_failures_total",
    "msgsnd calls that failed, by errno; EAGAIN is a sender that would not wait and found the queue full: a dropped "
    f"message. From sys_exit_msgsnd, {_SCOPE}.",
    *("queue", "errno"),
)
WAIT: Final = Metric(
    "sysv_msg_queue_send_wait_seconds",
    "histogram",
    "Time from sys_enter_msgsnd to its end, of calls that succeeded or ended with EAGAIN, EINTR or EIDRM (others are "
    f"refused at once); {_SCOPE}.",
    ("queue",),
)
OMITTED: Final = _counter(
    "openvpn_mq_trace_omitted_calls_total",
    "Calls of msgsnd, msgrcv that bpftrace saw and could not count: more queues (max_queues) or more threads inside "
    "a call (max_threads) than --trace.max-queues.",
    "reason",
)
LOST: Final = _counter(
    "openvpn_mq_trace_lost_events_total",
    "Messages to itself that bpftrace reported as lost. No calls are lost with them: the next print has all counts.",
)
GARBLED: Final = _counter(
    "openvpn_mq_trace_garbled_lines_total",
    "Lines that were not what bpftrace prints. No calls are lost with them: the next print has all counts.",
)
RUNS: Final = _counter(
    "openvpn_mq_trace_runs_total",
    "Runs of the bpftrace program that were heard of. Calls between the last print of one and the start of the next "
    "are not counted.",
)

_PATIENCE: Final = 15.0  # seconds without a print (or three times the usual distance) are a fault
_GIVE_UP: Final = 4.0  # times that: the child is replaced


class TraceSettings(NamedTuple):
    """What --trace.* set."""

    input: Path | None = None  # where a bpftrace that systemd runs writes to; None: run one as a child
    max_queues: int = 1024


class TraceCollector(Collector):
    """Follows bpftrace in a thread of its own."""

    def __init__(self, context: BuildContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings = context.settings.of(TraceSettings)
        self._wants = context.settings.of(QueueSettings).wants
        self._reader = context.reader
        self._names = context.names
        self._clock = clock
        self._tally = Tally(settings.max_queues)
        self._source = self._choose(settings.input)
        self._heard = clock()
        self._usual = 0.0  # seconds between the last two prints
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._source.run, args=(self._stopping,), name="trace", daemon=True)

    def start(self) -> None:
        """Learn what queues there are, and begin to follow."""
        self._learn()
        self._thread.start()

    def stop(self) -> None:
        """End the child, if it is one, and the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def collect(self, scrape: Scrape) -> Families:
        """The counters; PartialResultError with them where bpftrace does not speak just now."""
        if system_calls() is None:
            raise PartialResultError("programs on this machine may use ipc(2) for msgsnd, which is not counted")
        if self._tally.prints == 0:
            if self._source.fault or self._silence() > self._patience():
                raise PartialResultError(self._source.fault or "bpftrace says nothing")
            return []  # it takes a second or two to start
        own = own_ipc_namespace()
        if self._tally.namespace not in (None, own):
            raise PartialResultError(
                f"bpftrace counts IPC namespace {self._tally.namespace}, the exporter lives in {own}: "
                "run both in the same"
            )
        families = self._families(scrape)
        if self._source.fault:
            raise PartialResultError(self._source.fault, families)
        if self._silence() > self._patience():
            raise PartialResultError(
                "bpftrace has stopped speaking; what it counts is not seen until it goes on", families
            )
        return families

    def _choose(self, path: Path | None) -> Child | Input:
        if path:
            return Input(path, self._hear)
        return Child(command(), environment(self._settings.max_queues), self._hear, self._hung)

    def _hear(self, line: bytes) -> None:
        before = self._tally.prints
        if self._tally.hear(line):
            self._learn()
        if self._tally.prints != before:
            now = self._clock()
            self._usual = now - self._heard
            self._heard = now

    def _learn(self) -> None:
        """The keys of the queues that are there. Where they cannot be read, the scrape says so."""
        with contextlib.suppress(OSError, MalformedError):
            self._tally.learn(self._reader.read())

    def _silence(self) -> float:
        return self._clock() - self._heard

    def _patience(self) -> float:
        return max(_PATIENCE, 3 * self._usual)

    def _hung(self, since: float) -> bool:
        return self._clock() - max(self._heard, since) > _GIVE_UP * self._patience()

    def _families(self, scrape: Scrape) -> Families:
        queues = scrape.queues.everything
        self._tally.learn(queues)
        totals = self._tally.totals()
        for msqid, key in zip(queues.msqid, queues.key, strict=True):
            if len(totals) >= self._settings.max_queues:
                break
            totals.setdefault(identify(msqid, key), Counter())  # nobody has used it yet: that is known to be nothing
        keys, msqids = [queue.key for queue in totals], [queue.msqid for queue in totals]
        named = zip(labels(keys, msqids, self._names.by_key()), totals.values(), strict=True)
        return self._render({label: counted for label, counted in named if self._wants(label)})

    def _render(self, counts: dict[str, Counter[str]]) -> Families:
        queues = list(counts)
        uncounted = self._tally.uncounted()
        return [
            *(
                metric.family([counted[name] for counted in counts.values()], queues)
                for metric, name in (
                    (SENT, "sent"),
                    (SENT_BYTES, "sent_bytes"),
                    (RECEIVED, "received"),
                    (RECEIVED_BYTES, "received_bytes"),
                )
            ),
            FAILURES.family(
                [counted[errno] for counted in counts.values() for errno in ERRNOS],
                [queue for queue in queues for _ in ERRNOS],
                ERRNOS * len(queues),
            ),
            _histogram(counts),
            OMITTED.family([uncounted["omitted"], uncounted["untracked"]], ["max_queues", "max_threads"]),
            LOST.family([self._tally.lost]),
            GARBLED.family([self._tally.garbled]),
            RUNS.family([self._tally.sessions]),
        ]


def _histogram(counts: dict[str, Counter[str]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(WAIT.name, WAIT.help, labels=WAIT.labels)
    bounds = ["+Inf" if bound == math.inf else str(bound) for bound, _ in WAITS]
    for queue, counted in counts.items():
        upto = itertools.accumulate(counted[name] for _, name in WAITS)
        buckets = list(zip(bounds, map(float, upto), strict=True))
        family.add_metric([queue], buckets, counted["wait_ns"] / 1e9)
    return family


def _build(context: BuildContext) -> TraceCollector | None:
    # Nothing with --once: a single reading has nothing to count yet.
    return None if context.settings.once else TraceCollector(context)


def _add_flags(group: argparse._ArgumentGroup) -> None:  # argparse has no public name for a group
    group.add_argument(
        "--trace.input", dest="trace_input", metavar="PATH", type=Path,
        help="named pipe (or file) that openvpn-mq-trace.service writes to; without it, bpftrace is run as a child",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    group.add_argument(
        "--trace.max-queues", dest="trace_max_queues", metavar="N", type=value(_bound),
        default=TraceSettings().max_queues,
        help="maximum number of queues that are counted, and of threads inside msgsnd or msgrcv (default %(default)s)",
    )  # fmt: skip


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
