"""The dashboard of one host's message queues (or of some hosts', where the variable says so)."""

from dashboards.board import Board, Variable
from dashboards.columns import IDENTITY, KERNEL_LIMITS, QUEUES
from dashboards.graphs import PER_MINUTE, Query, graph
from dashboards.panels import FILLING, FILLING_PERCENT, NEUTRAL, ZERO_IS_BETTER, ZERO_IS_GOOD, headline
from dashboards.queries import FILL, PEAK_PERCENT, PERCENT_FULL, SILENCE, busiest, events, mirrored, rate, slowest, top
from dashboards.tables import address, rows

_QUEUE = "{{queue}} @ {{instance}}"
_WAITS = "sysv_msg_queue_send_wait_seconds_bucket{}"

_TIME = (
    "avg_over_time(sysv_msg_queue_messages{}[$__rate_interval]) / "
    "(rate(sysv_msg_queue_received_messages_total{}[$__rate_interval]) > 0)"
)
"""Little's law."""


def _traffic(what: str) -> list[Query]:
    """What goes in, up; what comes out, down."""
    sent, received = (
        top(rate(f"sysv_msg_queue_{way}_{what}_total{{}}", "queue", "instance"), "queue", "instance", most=4)
        for way in ("sent", "received")
    )
    return [Query(sent, f"sent {_QUEUE}"), Query(mirrored(received), f"received {_QUEUE}", "purple")]


BOARD = Board(
    uid="openvpn-mq-queues",
    description="The System V message queues of a host: how full, who waits, what goes through, what is lost.",
    variables=[
        Variable("queue", "Queue", 'label_values(sysv_msg_queue_messages{job=~"$job",instance=~"$instance"}, queue)')
    ],
    matchers={"sysv_msg_queue_": 'queue=~"$queue"'},
    rows={
        "": [
            headline("Fullest queue",
                     "The largest fill of all queues: the larger of bytes and messages, over the queue's own limit.",
                     f"max({FILL})", source="queues", unit="percentunit", steps=FILLING),
            headline("Messages", "Messages in the chosen queues.",
                     "sum(sysv_msg_queue_messages{})", source="queues", steps=NEUTRAL),
            headline("Not taken for",
                     "The longest time for which a queue with messages in it has had nobody take one. 0: none waits.",
                     f"max({SILENCE})", source="queues", unit="s",
                     steps=[(None, "green"), (300, "orange"), (3600, "red")]),
            headline("Senders blocked", "Threads asleep in msgsnd right now because their queue is full.",
                     "sum(sysv_msg_queue_blocked_senders{})", source="waiters", steps=ZERO_IS_GOOD),
            headline("Receivers", "Threads asleep in msgrcv right now: consumers that are ready.",
                     "sum(sysv_msg_queue_waiting_receivers{})", source="waiters", steps=NEUTRAL),
            headline("Sends refused", "msgsnd calls of the time range that failed, for whatever reason.",
                     "sum(increase(sysv_msg_queue_send_failures_total{}[$__range]))", source="trace",
                     steps=[(None, "green"), (0.5, "red")]),
            headline("Old limits",
                     "Queues whose own limit is below today's kernel.msgmnb. A queue keeps the limit it was created "
                     "with: raising the sysctl helps such a queue only once it is made anew, or by IPC_SET.",
                     "sum(sysv_msg_queue_limit_bytes{} < bool on (job, instance) group_left () sysv_msgmnb_bytes{})",
                     source="limits", steps=ZERO_IS_BETTER),
            headline("msgmni used",
                     "How much of kernel.msgmni, the most queues that may exist, is used.",
                     "max(sysv_msg_queues{} / on (job, instance) sysv_msgmni_queues{})",
                     source="limits", unit="percentunit", steps=[(None, "green"), (0.8, "orange"), (0.95, "red")]),
            rows(
                "Queues, the fullest first",
                "One row a queue. Blocked: threads asleep in msgsnd. Waiting: threads asleep in msgrcv. Not taken: "
                "time since a message was last taken while messages wait. Sender, Receiver: whether the last one "
                "still runs. Sent, Received: the rates of now. Refused: failed sends in the time range. A dash: that "
                "collector is not enabled, or it does not know. A queue's name shows it alone.",
                {"queue": "Queue", "instance": "Host"},
                QUEUES, source="queues", sort="Fill", height=10,
                links={"Queue": ("This queue alone",
                                 address("openvpn-mq-queues", instance="${__data.fields.Host}",
                                         queue="${__value.raw}"))},
            ),
        ],
        "How full": [
            graph("Fill (top 8)",
                  "The larger of bytes and messages, over the queue's own limit; the eight queues where it was "
                  "highest in the time range. At 100 % the kernel refuses or blocks senders.",
                  Query(top(PERCENT_FULL, "queue", "instance"), _QUEUE), source="queues", unit="percent",
                  steps=FILLING_PERCENT, most=100, width=24),
            graph("Highest fill between scrapes (top 8)",
                  "The most bytes or messages that the exporter sampled in its peak window, over the limit: bursts "
                  "that come and go between two scrapes.",
                  Query(top(PEAK_PERCENT, "queue", "instance"), _QUEUE),
                  source="queues", unit="percent", steps=FILLING_PERCENT, most=100),
            graph("Messages waiting (top 8)",
                  "Messages in the queue at the moment of the scrape; the eight queues with the most in the time "
                  "range.",
                  Query(top("sysv_msg_queue_messages{}", "queue", "instance"), _QUEUE), source="queues", unit="none"),
        ],
        "Who waits": [
            graph("Not taken for (top 8)",
                  "Time since a message was last taken from the queue while messages wait in it; 0 while it is empty. "
                  "A consumer that hangs or is gone shows as a line that only rises.",
                  Query(top(SILENCE, "queue", "instance"), _QUEUE), source="queues", unit="s"),
            graph("Blocked and waiting (top 4 each)",
                  "Threads asleep in msgsnd (blocked) and in msgrcv (waiting). No receiver waiting and a growing "
                  "backlog: the consumer is too slow or gone.",
                  Query(busiest("sysv_msg_queue_blocked_senders{}", "queue", "instance", most=4),
                        f"blocked {_QUEUE}", "red"),
                  Query(busiest("sysv_msg_queue_waiting_receivers{}", "queue", "instance", most=4),
                        f"waiting {_QUEUE}"),
                  source="waiters", unit="none", most=1),
            graph("Time in msgsnd, p99 (top 8)",
                  "How long msgsnd took, for 99 % of the calls; the eight slowest queues: more than microseconds means "
                  "that senders had to wait for room.",
                  Query(slowest(0.99, _WAITS, "queue", "instance"), _QUEUE),
                  source="trace", unit="s", sparse=True),
            graph("Mean time in queue (top 8)",
                  "Messages waiting over messages received per second (Little's law): how old a message is on average "
                  "when it is taken. No line while nothing is received.",
                  Query(top(_TIME, "queue", "instance"), _QUEUE), source="trace", unit="s"),
        ],
        "Traffic, losses and limits": [
            graph("Messages sent and received (top 4)",
                  "Accepted by msgsnd (up) and delivered by msgrcv (down); the four busiest queues of the time range.",
                  *_traffic("messages"), source="trace", unit="mps", mirrored=True),
            graph("Bytes sent and received (top 4)",
                  "Message data accepted by msgsnd (up) and delivered by msgrcv (down); the four busiest queues.",
                  *_traffic("bytes"), source="trace", unit="Bps", mirrored=True),
            graph("Sends refused (top 8)",
                  "msgsnd calls a minute that failed, by errno; none where none does. EAGAIN: the queue was full, the "
                  "message is lost. EIDRM: the queue was removed. EACCES: no permission.",
                  Query(events("sysv_msg_queue_send_failures_total{}", "errno", "queue", "instance"),
                        f"{{{{errno}}}} {_QUEUE}", "red"),
                  source="trace", unit=PER_MINUTE, most=1),
            rows(
                "Kernel limits",
                "The sysctls of the IPC namespace, and what the exporter's profile (--collector.limits.profile) "
                "wants. kernel.msgmnb is the limit of queues that are still to be made.",
                {"instance": "Host", "sysctl": "Limit"},
                KERNEL_LIMITS,
                source="limits", sort="Short by", height=8, width=12,
            ),
            rows(
                "Identity",
                "Which kernel object a queue is, as ipcs -q shows it, and the process ids of who last sent to it and "
                "received from it.",
                {"queue": "Queue", "instance": "Host", "key": "Key", "msqid": "msqid", "owner": "Owner",
                 "mode": "Mode"},
                IDENTITY,
                source="queues", sort="Queue", ascending=True, height=9,
            ),
        ],
    },
)  # fmt: skip
