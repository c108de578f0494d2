"""What the collector `queues` exports."""

from typing import Final

from exporter.exposition.families import Metric


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", help_text, labels)


BYTES: Final = _gauge(
    "sysv_msg_queue_bytes", "msg_cbytes of struct msqid_ds: bytes of message data in the queue.", "queue"
)
MESSAGES: Final = _gauge("sysv_msg_queue_messages", "msg_qnum of struct msqid_ds: messages in the queue.", "queue")
LIMIT: Final = _gauge(
    "sysv_msg_queue_limit_bytes",
    "msg_qbytes of struct msqid_ds: this queue's own limit, taken from kernel.msgmnb when it was created. "
    "It bounds the number of messages too. Absent if only /proc/sysvipc/msg can be read.",
    "queue",
)
FILL: Final = _gauge(
    "sysv_msg_queue_fill_ratio",
    "The larger of msg_cbytes and msg_qnum, divided by msg_qbytes: the kernel refuses a message that would bring "
    "either above it. kernel.msgmnb stands in for a limit that cannot be read. Absent if the limit is 0.",
    "queue",
)
PEAK_BYTES: Final = _gauge(
    "sysv_msg_queue_peak_bytes",
    "Highest msg_cbytes seen in the last peak window, sampled between scrapes.",
    "queue",
)
PEAK_MESSAGES: Final = _gauge(
    "sysv_msg_queue_peak_messages",
    "Highest msg_qnum seen in the last peak window, sampled between scrapes.",
    "queue",
)
LAST_SEND: Final = _gauge(
    "sysv_msg_queue_last_send_timestamp_seconds",
    "msg_stime: when the last message was sent; 0 = never.",
    "queue",
)
LAST_RECEIVE: Final = _gauge(
    "sysv_msg_queue_last_receive_timestamp_seconds",
    "msg_rtime: when the last message was received; 0 = never.",
    "queue",
)
LAST_CHANGE: Final = _gauge(
    "sysv_msg_queue_last_change_timestamp_seconds",
    "msg_ctime: when the queue was created or last changed by IPC_SET.",
    "queue",
)
LAST_SEND_PID: Final = _gauge(
    "sysv_msg_queue_last_send_pid", "msg_lspid: process id of the last sender; 0 = none.", "queue"
)
LAST_RECEIVE_PID: Final = _gauge(
    "sysv_msg_queue_last_receive_pid",
    "msg_lrpid: process id (thread id if it had to wait) of the last receiver; 0 = none.",
    "queue",
)
INFO: Final = _gauge(
    "sysv_msg_queue_info",
    "Identity of the queue, from msg_perm of struct msqid_ds; always 1.",
    *("queue", "key", "msqid", "owner", "group", "creator", "mode"),
)
QUEUES: Final = _gauge("sysv_msg_queues", "Queues in the IPC namespace, filtered ones too.")
TOTAL_BYTES: Final = _gauge("sysv_msg_bytes", "Sum of msg_cbytes over all queues, filtered ones too.")
TOTAL_MESSAGES: Final = _gauge("sysv_msg_messages", "Sum of msg_qnum over all queues, filtered ones too.")
MAX_FILL: Final = _gauge(
    "sysv_msg_queue_max_fill_ratio",
    "Highest fill over all queues, filtered ones too: the larger of msg_cbytes and msg_qnum, divided by msg_qbytes. "
    "Absent if there is no queue, or if a queue's limit is not known.",
)
OMITTED: Final = _gauge(
    "sysv_msg_queues_omitted",
    "Queues without series of their own: left out by include/exclude (filter) or max-series (limit).",
    "reason",
)
