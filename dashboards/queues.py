"""The dashboard of one host's message queues (or of some hosts', where the variable says so)."""

from dashboards.board import Board, Variable
from dashboards.panels import (
    FILLING,
    NEUTRAL,
    ZERO_IS_BETTER,
    ZERO_IS_GOOD,
    Query,
    graph,
    headline,
)
from dashboards.queries import FILL, PEAK_FILL, SILENCE, quantile
from dashboards.tables import Column, address, rows

_QUEUE = "{{queue}} @ {{instance}}"
_LATE = [(None, "text"), (300, "orange"), (3600, "red")]

_TABLE = [
    Column("Fill", f"max by (instance, queue) ({FILL})", unit="percentunit", steps=FILLING, gauge=True, decimals=0,
           width=130),
    Column("Messages", "max by (instance, queue) (sysv_msg_queue_messages{})", width=85),
    Column("Bytes", "max by (instance, queue) (sysv_msg_queue_bytes{})", unit="bytes", width=80),
    Column("Limit", "max by (instance, queue) (sysv_msg_queue_limit_bytes{})", unit="bytes", width=70),
    Column("Blocked", "sum by (instance, queue) (sysv_msg_queue_blocked_senders{})",
           steps=[(None, "text"), (1, "red")], width=75),
    Column("Waiting", "sum by (instance, queue) (sysv_msg_queue_waiting_receivers{})", width=75),
    Column("Not taken", f"max by (instance, queue) ({SILENCE})", unit="s", steps=_LATE, decimals=0, width=85),
    Column("Sender", "max by (instance, queue) (sysv_msg_queue_last_sender_running{})",
           texts={1: ("running", "text"), 0: ("gone", "orange")}, width=75),
    Column("Receiver", "max by (instance, queue) (sysv_msg_queue_last_receiver_running{})",
           texts={1: ("running", "text"), 0: ("gone", "orange")}, width=80),
    Column("Sent", "sum by (instance, queue) (rate(sysv_msg_queue_sent_messages_total{}[$__rate_interval]))",
           unit="mps", decimals=1, width=90),
    Column("Received", "sum by (instance, queue) (rate(sysv_msg_queue_received_messages_total{}[$__rate_interval]))",
           unit="mps", decimals=1, width=90),
    Column("Refused", "sum by (instance, queue) (increase(sysv_msg_queue_send_failures_total{}[$__range]))",
           steps=[(None, "text"), (0.5, "red")], decimals=0, width=75),
]  # fmt: skip

_SYSCTLS = {"kernel.msgmnb": "sysv_msgmnb{}_bytes", "kernel.msgmax": "sysv_msgmax{}_bytes",
            "kernel.msgmni": "sysv_msgmni{}_queues"}  # fmt: skip


def _sysctls(infix: str) -> str:
    """The three limits as one answer, the name of each in the label sysctl."""
    parts = [
        f'label_replace(max by (instance) ({metric.format(infix)}{{}}), "sysctl", "{name}", "", "")'
        for name, metric in _SYSCTLS.items()
    ]
    return " or ".join(parts)


def _identified(metric: str) -> str:
    """The metric with what tells a queue's identity as labels."""
    labels = "key, msqid, owner, mode"
    joined = f"{metric} * on (job, instance, queue) group_left ({labels}) sysv_msg_queue_info{{}}"
    return f"max by (instance, queue, {labels}) ({joined})"


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
        ],
        "Queue by queue": [
            rows(
                "Queues, the fullest first",
                "One row a queue. Blocked: threads asleep in msgsnd. Waiting: threads asleep in msgrcv. Not taken: "
                "time since a message was last taken while messages wait. Sender, Receiver: whether the last one "
                "still runs. Sent, Received: the rates of now. Refused: failed sends in the time range. A dash: that "
                "collector is not enabled, or it does not know. A queue's name shows it alone.",
                {"queue": "Queue", "instance": "Host"},
                _TABLE, source="queues", sort="Fill", height=10,
                links={"Queue": ("This queue alone",
                                 address("openvpn-mq-queues", instance="${__data.fields.Host}",
                                         queue="${__value.raw}"))},
            ),
        ],
        "How full": [
            graph("Fill",
                  "The larger of bytes and messages, over the queue's own limit. At 100 % the kernel refuses or "
                  "blocks senders.",
                  Query(FILL, _QUEUE), source="queues", unit="percentunit",
                  steps=[(None, "transparent"), (0.8, "orange")], most=1),
            graph("Messages waiting", "Messages in the queue at the moment of the scrape.",
                  Query("sysv_msg_queue_messages{}", _QUEUE), source="queues", unit="none"),
            graph("Highest fill between scrapes",
                  "The most bytes or messages that the exporter sampled in its peak window, over the limit: bursts "
                  "that come and go between two scrapes.",
                  Query(PEAK_FILL, _QUEUE),
                  source="queues", unit="percentunit", steps=[(None, "transparent"), (0.8, "orange")], most=1),
        ],
        "Who waits": [
            graph("Not taken for",
                  "Time since a message was last taken from the queue while messages wait in it; 0 while it is empty. "
                  "A consumer that hangs or is gone shows as a line that only rises.",
                  Query(SILENCE, _QUEUE), source="queues", unit="s"),
            graph("Senders blocked and receivers waiting",
                  "Threads asleep in msgsnd (up) and in msgrcv (down). No receiver waiting and a growing backlog: the "
                  "consumer is too slow or gone.",
                  Query("sysv_msg_queue_blocked_senders{}", "blocked {{queue}} @ {{instance}}"),
                  Query("-sysv_msg_queue_waiting_receivers{}", "waiting {{queue}} @ {{instance}}"),
                  source="waiters", unit="none", mirrored=True),
            graph("Mean time in queue",
                  "Messages waiting over messages received per second (Little's law): how old a message is on average "
                  "when it is taken. No line while nothing is received.",
                  Query("avg_over_time(sysv_msg_queue_messages{}[$__rate_interval]) / "
                        "(rate(sysv_msg_queue_received_messages_total{}[$__rate_interval]) > 0)", _QUEUE),
                  source="trace", unit="s"),
        ],
        "What goes through": [
            graph("Messages sent and received", "Accepted by msgsnd (up) and delivered by msgrcv (down).",
                  Query("rate(sysv_msg_queue_sent_messages_total{}[$__rate_interval])",
                        "sent {{queue}} @ {{instance}}"),
                  Query("-rate(sysv_msg_queue_received_messages_total{}[$__rate_interval])",
                        "received {{queue}} @ {{instance}}"),
                  source="trace", unit="mps", mirrored=True),
            graph("Bytes sent and received", "Message data accepted by msgsnd (up) and delivered by msgrcv (down).",
                  Query("rate(sysv_msg_queue_sent_bytes_total{}[$__rate_interval])", "sent {{queue}} @ {{instance}}"),
                  Query("-rate(sysv_msg_queue_received_bytes_total{}[$__rate_interval])",
                        "received {{queue}} @ {{instance}}"),
                  source="trace", unit="Bps", mirrored=True),
            graph("Time in msgsnd",
                  "How long msgsnd took, for 50 % and 99 % of the calls: more than microseconds means that senders "
                  "had to wait for room.",
                  Query(quantile(0.99, "sysv_msg_queue_send_wait_seconds_bucket{}", "queue", "instance"),
                        "p99 {{queue}} @ {{instance}}"),
                  Query(quantile(0.5, "sysv_msg_queue_send_wait_seconds_bucket{}", "queue", "instance"),
                        "p50 {{queue}} @ {{instance}}"),
                  source="trace", unit="s", sparse=True),
        ],
        "What is lost, and the limits": [
            graph("Sends refused",
                  "msgsnd calls a minute that failed, by errno. EAGAIN: the queue was full, the message is lost. "
                  "EIDRM: the queue was removed. EACCES: no permission.",
                  Query("60 * sum by (instance, queue, errno) (rate(sysv_msg_queue_send_failures_total{}"
                        "[$__rate_interval]))", "{{errno}} {{queue}} @ {{instance}}"),
                  source="trace", unit="mpm", width=12),
            rows(
                "Kernel limits",
                "The sysctls of the IPC namespace, and what the exporter's profile (--collector.limits.profile) "
                "wants. kernel.msgmnb is the limit of queues that are still to be made.",
                {"instance": "Host", "sysctl": "Limit"},
                [Column("Value", _sysctls(""), width=80), Column("Wanted", _sysctls("_recommended"), width=80),
                 Column("Short by", f"clamp_min(({_sysctls('_recommended')}) - ({_sysctls('')}), 0)",
                        steps=[(None, "text"), (1, "orange")], width=85)],
                source="limits", sort="Short by", height=8, width=12,
            ),
            rows(
                "Identity",
                "Which kernel object a queue is, as ipcs -q shows it, and the process ids of who last sent to it and "
                "received from it; 0: nobody yet.",
                {"queue": "Queue", "instance": "Host", "key": "Key", "msqid": "msqid", "owner": "Owner",
                 "mode": "Mode"},
                [Column("Sender", _identified("sysv_msg_queue_last_send_pid{}"), width=70),
                 Column("Receiver", _identified("sysv_msg_queue_last_receive_pid{}"), width=80)],
                source="queues", sort="Queue", height=8,
            ),
        ],
    },
)  # fmt: skip
