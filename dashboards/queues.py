"""The dashboard of one host's message queues, or of the queues of the hosts that the reader chooses."""

from typing import Final

from dashboards.board import RESTARTS, Annotation, Board, Variable
from dashboards.columns import IDENTITY, KERNEL_LIMITS, QUEUES
from dashboards.firing import firing
from dashboards.graphs import CLOCK, PER_MINUTE, Query, graph
from dashboards.panels import BAD, FILLING, FILLING_PERCENT, PLAIN, WARNING, ZERO_OR_BAD, ZERO_OR_WARNING, tile
from dashboards.queries import (
    FILL,
    PEAK_PERCENT,
    PERCENT_FULL,
    ROOM,
    SILENCE,
    TARGET,
    busiest,
    events,
    once,
    quantile,
    rate,
    top,
)  # fmt: skip
from dashboards.tables import address, rows

_QUEUE: Final = "{{queue}} @ {{instance}}"
_BY: Final = ("queue", "instance")
_WAITS: Final = "sysv_msg_queue_send_wait_seconds_bucket{}"
_LATE: Final = [(None, ZERO_OR_BAD[0][1]), (300, WARNING), (3600, BAD)]
_LIMITS: Final = (
    f"sysv_msg_queue_limit_bytes{{}} < bool on ({TARGET}) group_left () max by ({TARGET}) (sysv_msgmnb_bytes{{}})"
)

_TIME: Final = (
    "avg_over_time(sysv_msg_queue_messages{}[$__rate_interval]) / "
    "(rate(sysv_msg_queue_received_messages_total{}[$__rate_interval]) > 0)"
)
"""Little's law."""


def _each(expression: str) -> str:
    """Return the expression by queue, without the copies of a second Prometheus."""
    return f"max by ({', '.join(_BY)}) ({expression})"


def _traffic(what: str) -> list[Query]:
    """Return what goes in, drawn up, and what comes out, drawn down."""
    sent, received = (
        top(rate(f"sysv_msg_queue_{way}_{what}_total{{}}", *_BY), *_BY, most=4) for way in ("sent", "received")
    )
    return [Query(sent, f"sent {_QUEUE}"), Query(received, f"received {_QUEUE}", "below")]


BOARD: Final = Board(
    uid="openvpn-mq-queues",
    description="The System V message queues of a host: how full, who waits, what goes through, what is lost.",
    annotations=[
        RESTARTS,
        Annotation("Queues created or changed", "purple", "1000 * sysv_msg_queue_last_change_timestamp_seconds{}",
                   "Queue created, or changed by IPC_SET", "{{queue}} on {{instance}}", True),
    ],
    variables=[
        Variable(
            "queue", "Queue",
            'label_values(sysv_msg_queue_messages{cluster=~"$cluster",job=~"$job",instance=~"$instance"}, queue)',
        )
    ],
    matchers={"sysv_msg_queue_(?!max_fill)": 'queue=~"$queue"'},
    rows={
        "": [
            firing(),
            tile("Fullest queue",
                 "The largest fill of all queues: the larger of bytes and messages, over the queue's own limit.",
                 f"max({FILL})", collectors="queues", unit="percentunit", steps=FILLING,
                 explained_by="Fill (top 8)"),
            tile("Full queues",
                 "Queues without room for one more message of their mean size: senders are refused or have to wait.",
                 f"sum(max by ({TARGET}, queue) ({ROOM} < bool 1)) or 0 * sum(sysv_msg_queue_bytes{{}})",
                 collectors="queues", steps=ZERO_OR_BAD, explained_by="Queues, the fullest first"),
            tile("Unread for",
                 "The longest time for which a queue with messages in it has had none of them received. 0: none "
                 "waits.",
                 f"max({SILENCE})", collectors="queues", unit="s", steps=_LATE,
                 explained_by="Time since last receive (top 8)"),
            tile("Messages", "Messages in the chosen queues.",
                 f"sum({once('sysv_msg_queue_messages{}')})", collectors="queues", steps=PLAIN,
                 explained_by="Messages waiting (top 8)"),
            tile("Blocked senders", "Threads asleep in msgsnd right now because their queue is full.",
                 f"sum({once('sysv_msg_queue_blocked_senders{}')})", collectors="waiters", steps=ZERO_OR_BAD,
                 explained_by="Blocked and waiting (top 4 each)"),
            tile("Waiting receivers", "Threads asleep in msgrcv right now: consumers that are ready.",
                 f"sum({once('sysv_msg_queue_waiting_receivers{}')})", collectors="waiters", steps=PLAIN,
                 explained_by="Blocked and waiting (top 4 each)"),
            tile("Sends refused", "msgsnd calls of the last five minutes that failed, for whatever reason.",
                 f"sum({once('increase(sysv_msg_queue_send_failures_total{}[5m])')})", collectors="trace",
                 steps=ZERO_OR_WARNING, explained_by="Sends refused (top 8)"),
            tile("Below msgmnb",
                 "Queues whose own limit is below today's kernel.msgmnb. A queue keeps the limit it was created "
                 "with: raising the sysctl helps such a queue only once it is created anew, or by IPC_SET.",
                 f"sum(max by ({TARGET}, queue) ({_LIMITS}))", collectors="limits", steps=ZERO_OR_WARNING,
                 explained_by="Kernel limits"),
            tile("Queues", "Queues with series of their own, of those that are chosen.",
                 "sum(count by (cluster, job, instance, queue) (sysv_msg_queue_bytes{}) > bool 0)",
                 collectors="queues", steps=PLAIN, explained_by="Queues, the fullest first"),
            rows(
                "Queues, the fullest first",
                "One row per queue. Room for: how many more messages of the mean size fit. Blocked: threads asleep in "
                "msgsnd. Waiting: threads asleep in msgrcv. Unread for: time since a message was last received while "
                "messages wait. Sender, Receiver: whether the last one still runs. Sent, Received: the rates of now. "
                "Refused: failed sends of the last five minutes. unknown: the collector runs, and has no number. off: "
                "the collector is off. A queue's name shows it alone.",
                {"queue": "Queue", "instance": "Host"},
                QUEUES, source="queues", sort="Fill", height=10,
                links={"Queue": [("This queue alone",
                                  address("openvpn-mq-queues", instance="${__data.fields.Host}",
                                          queue="${__value.raw}"))]},
            ),
        ],
        "How full": [
            graph("Fill (top 8)",
                  "The larger of bytes and messages, over the queue's own limit; the eight queues where it was "
                  "highest in the time range. At 100 % the kernel refuses or blocks senders.",
                  Query(top(_each(PERCENT_FULL), *_BY), _QUEUE), source="queues", unit="percent",
                  steps=FILLING_PERCENT, most=100, width=24),
            graph("Highest fill between scrapes (top 8)",
                  "The most bytes or messages that the exporter sampled in its peak window, over the limit: bursts "
                  "that come and go between two scrapes.",
                  Query(top(_each(PEAK_PERCENT), *_BY), _QUEUE),
                  source="queues", unit="percent", steps=FILLING_PERCENT, most=100),
            graph("Messages waiting (top 8)",
                  "Messages in the queue at the moment of the scrape; the eight queues with the most in the time "
                  "range.",
                  Query(top(_each("sysv_msg_queue_messages{}"), *_BY), _QUEUE), source="queues", unit="none"),
        ],
        "Who waits": [
            graph("Time since last receive (top 8)",
                  "Time since a message was last received from the queue while messages wait in it; 0 while it is "
                  "empty. A consumer that hangs or is gone shows as a line that only rises.",
                  Query(top(_each(SILENCE), *_BY), _QUEUE), source="queues", unit=CLOCK),
            graph("Blocked and waiting (top 4 each)",
                  "Threads asleep in msgsnd (blocked) and, dashed, in msgrcv (waiting). No receiver waiting and a "
                  "growing backlog: the consumer is too slow or gone.",
                  Query(busiest(_each("sysv_msg_queue_blocked_senders{}"), *_BY, most=4), f"blocked {_QUEUE}"),
                  Query(busiest(_each("sysv_msg_queue_waiting_receivers{}"), *_BY, most=4),
                        f"waiting {_QUEUE}", "dashed"),
                  source="waiters", unit="none", most=1),
            graph("Time in msgsnd, p99 (top 8)",
                  "How long msgsnd took, for 99 % of the calls; the eight slowest queues: more than microseconds means "
                  "that senders had to wait for room.",
                  Query(quantile(0.99, _WAITS, *_BY), _QUEUE), source="trace", unit="s", sparse=True),
            graph("Mean time in queue (top 8)",
                  "Messages waiting over messages received per second (Little's law): how old a message is on average "
                  "when it is received. No line while nothing is received.",
                  Query(top(_each(_TIME), *_BY), _QUEUE), source="trace", unit="s"),
        ],
        "Traffic, losses and limits": [
            graph("Messages sent and received (top 4)",
                  "Accepted by msgsnd (up) and delivered by msgrcv (down); the four busiest queues of the time range.",
                  *_traffic("messages"), source="trace", unit="mps"),
            graph("Bytes sent and received (top 4)",
                  "Message data accepted by msgsnd (up) and delivered by msgrcv (down); the four busiest queues.",
                  *_traffic("bytes"), source="trace", unit="Bps"),
            graph("Sends refused (top 8)",
                  "msgsnd calls per minute that failed, by errno; none if none fails. EAGAIN: the queue was full, the "
                  "message is lost. EIDRM: the queue was removed. EACCES: no permission.",
                  Query(events("sysv_msg_queue_send_failures_total{}", "errno", *_BY), f"{{{{errno}}}} {_QUEUE}"),
                  source="trace", unit=PER_MINUTE, most=1),
            rows(
                "Kernel limits",
                "The sysctls of the IPC namespace, and what the exporter's profile (--collector.limits.profile) "
                "recommends. kernel.msgmnb is the limit of queues that are still to be created.",
                {"instance": "Host", "sysctl": "Limit"},
                KERNEL_LIMITS, source="limits", sort="Shortfall", height=9, width=12, nothing="-",
            ),
            rows(
                "Identity",
                "Which kernel object a queue is, as ipcs -q shows it, and the process ids of who last sent to it and "
                "received from it.",
                {"queue": "Queue", "instance": "Host", "key": "Key", "msqid": "msqid", "owner": "Owner",
                 "mode": "Mode"},
                IDENTITY, source="queues", sort="Queue", ascending=True, height=9,
            ),
        ],
    },
)  # fmt: skip
