"""The columns of the tables that have many: a query each, grouped by what a row is."""

from collections.abc import Mapping

from dashboards.panels import FILLING
from dashboards.queries import FILL, SILENCE, count_kinds
from dashboards.tables import FILLED, LOST, NOTED, Column

_LATE = [(None, "transparent"), (300, "dark-orange"), (3600, "semi-dark-red")]

QUEUES = [
    Column("Fill", f"max by (instance, queue) ({FILL})", unit="percentunit", steps=FILLING, gauge=True, decimals=0,
           width=130),
    Column("Messages", "max by (instance, queue) (sysv_msg_queue_messages{})", width=85),
    Column("Bytes", "max by (instance, queue) (sysv_msg_queue_bytes{})", unit="bytes", width=80),
    Column("Limit", "max by (instance, queue) (sysv_msg_queue_limit_bytes{})", unit="bytes", width=70),
    Column("Blocked", "sum by (instance, queue) (sysv_msg_queue_blocked_senders{})",
           steps=LOST, width=75),
    Column("Waiting", "sum by (instance, queue) (sysv_msg_queue_waiting_receivers{})", width=75),
    Column("Not taken", f"max by (instance, queue) ({SILENCE})", unit="s", steps=_LATE, decimals=0, width=85),
    Column("Sender", "max by (instance, queue) (sysv_msg_queue_last_sender_running{})",
           texts={1: ("running", "text"), 0: ("gone", "orange")}, width=75),
    Column("Receiver", "max by (instance, queue) (sysv_msg_queue_last_receiver_running{})",
           texts={1: ("running", "text"), 0: ("gone", "orange")}, width=80),
    Column("Sent", "sum by (instance, queue) (rate(sysv_msg_queue_sent_messages_total{}[$__rate_interval]))",
           unit="mps", decimals=1, texts={0: ("0 msg/s", "text")}, width=90),
    Column("Received", "sum by (instance, queue) (rate(sysv_msg_queue_received_messages_total{}[$__rate_interval]))",
           unit="mps", decimals=1, texts={0: ("0 msg/s", "text")}, width=90),
    Column("Refused", "sum by (instance, queue) (increase(sysv_msg_queue_send_failures_total{}[$__range]))",
           steps=LOST, decimals=0, width=75),
]  # fmt: skip

_STATES = ["ok", "stale", "torn", "empty", "missing", "unreadable"]
_STATE = " or ".join(
    f'{place} * (max by (instance, server) (openvpn_status_state{{state="{state}"}}) == 1)'
    for place, state in enumerate(_STATES)
)
"""The number of the state that the status file is in."""

_SCRIPTS = "increase(openvpn_script_failures_total{}[$__range])"
_DROPPED = "increase(openvpn_status_updates_dropped_total{}[$__range])"
_TROUBLES = ["openvpn_management_up{} == bool 0", 'openvpn_status_state{state!="ok"}', _SCRIPTS, _DROPPED]

SERVERS = [
    Column("Troubles", count_kinds(_TROUBLES, "instance, server"),
           steps=[(None, "transparent"), (1, "dark-orange"), (3, "semi-dark-red")], width=85),
    Column("Management", "max by (instance, server) (openvpn_management_up{})",
           texts={1: ("answers", "transparent"), 0: ("down", "semi-dark-red")}, steps=FILLED, width=105),
    Column("Status file", _STATE,
           texts={place: (state, "dark-orange" if place else "transparent") for place, state in enumerate(_STATES)},
           steps=FILLED, width=90),
    Column("Status age", "time() - max by (instance, server) (openvpn_status_update_time_seconds{})", unit="s",
           decimals=0, width=95),
    Column("Clients", "max by (instance, server) (openvpn_server_connected_clients{})", width=75),
    Column("Scripts failed", f"sum by (instance, server) ({_SCRIPTS})",
           steps=LOST, decimals=0, width=115),
    Column("Updates dropped", f"sum by (instance, server) ({_DROPPED})",
           steps=LOST, decimals=0, width=130),
    Column("Last log line", "time() - max by (instance, server) (openvpn_log_last_line_timestamp_seconds{})", unit="s",
           decimals=0, width=105),
    Column("verb", "max by (instance, server) (openvpn_log_verbosity{})",
           steps=[(None, "text"), (0, "orange"), (1, "text")], width=60),
    Column("mute", "max by (instance, server) (openvpn_log_mute{})", steps=NOTED, width=60),
]  # fmt: skip

_NOBODY: Mapping[float, tuple[str, str]] = {0: ("nobody yet", "text")}

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


KERNEL_LIMITS = [
    Column("Value", _sysctls(""), width=70),
    Column("Wanted", _sysctls("_recommended"), width=75),
    Column("Short by", f"clamp_min(({_sysctls('_recommended')}) - ({_sysctls('')}), 0)", steps=NOTED, width=80),
]

IDENTITY = [
    Column("Sender's pid", _identified("sysv_msg_queue_last_send_pid{}"), texts=_NOBODY, width=110),
    Column("Receiver's pid", _identified("sysv_msg_queue_last_receive_pid{}"), texts=_NOBODY, width=115),
]
