"""The metrics of the collector `trace`, from the totals of its bpftrace program."""

import itertools
import math
from collections import Counter
from typing import Final

from prometheus_client import Metric as LibraryMetric
from prometheus_client.core import HistogramMetricFamily

from exporter.exposition.families import Family, Metric
from exporter.trace.totals import ERRNOS, WAITS, TraceTotals

_SCOPE: Final = "counted in the kernel by bpftrace since it started, for the exporter's own IPC namespace"


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_text, labels)


SENT: Final = _counter(
    "sysv_msg_queue_sent_messages_total",
    f"Messages that msgsnd accepted (sys_exit_msgsnd: all calls less those that failed), {_SCOPE}.",
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
    "Calls of msgsnd and msgrcv that bpftrace saw and could not count: more queues (max_queues) or more threads that "
    "use queues (max_threads) than --trace.max-queues.",
    "reason",
)
LOST: Final = _counter(
    "openvpn_mq_trace_lost_events_total",
    "Messages to itself that bpftrace reported as lost. No calls are lost with them: the next print has all counts.",
)
GARBLED: Final = _counter(
    "openvpn_mq_trace_garbled_lines_total",
    "Lines that are not what bpftrace prints. No calls are lost with them: the next print has all counts.",
)
RUNS: Final = _counter(
    "openvpn_mq_trace_runs_total",
    "Runs of the bpftrace program that have printed. Calls between the last print of one and the start of the next "
    "are not counted.",
)


def families(totals: TraceTotals, counts: dict[str, Counter[str]]) -> list[Family | LibraryMetric]:
    """Return all metrics; `counts` are those of each queue label."""
    queues = list(counts)
    uncounted = totals.uncounted()
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
        LOST.family([totals.lost]),
        GARBLED.family([totals.garbled]),
        RUNS.family([totals.sessions]),
    ]


def _histogram(counts: dict[str, Counter[str]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(WAIT.name, WAIT.help, labels=WAIT.labels)
    bounds = ["+Inf" if bound == math.inf else str(bound) for bound, _ in WAITS]
    for queue, counted in counts.items():
        upto = itertools.accumulate(counted[name] for _, name in WAITS)
        buckets = list(zip(bounds, map(float, upto), strict=True))
        family.add_metric([queue], buckets, counted["wait_ns"] / 1e9)
    return family
