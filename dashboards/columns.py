"""The columns of the tables that have many: one query each, grouped by what a row is."""

from collections.abc import Mapping
from typing import Final

from dashboards import scripts
from dashboards.panels import BAD, WARNING
from dashboards.queries import FILL, NOT_KNOWN, ROOM, SILENCE, TARGET, count_kinds, once
from dashboards.tables import CALM, CELL_BAD, CELL_FILLING, CELL_WARNING, CLEAR, Column

_RUNNING: Final[Mapping[float, tuple[str, str]]] = {2: ("none yet", CLEAR), 1: ("running", CLEAR), 0: ("gone", WARNING)}

_QUEUE: Final = "instance, queue"
_IS_QUEUE: Final = f"max by ({_QUEUE}) (sysv_msg_queue_bytes{{}})"


def _of_queue(expression: str, collector: str) -> str:
    """Return the expression, and that it is not known for queues without a value although the collector runs."""
    runs = f'openvpn_mq_scrape_collector_success{{collector="{collector}"}}'
    return f"{expression} or {NOT_KNOWN} + 0 * {_IS_QUEUE} and on (instance) {runs}"


def _runs(way: str) -> str:
    """Return whether the last sender or receiver still runs: 1 or 0, and 2 if there never was one."""
    which = "sender" if way == "send" else "receiver"
    never = f"2 + 0 * max by ({_QUEUE}) (sysv_msg_queue_last_{way}_pid{{}} == 0)"
    running = f"max by ({_QUEUE}) (sysv_msg_queue_last_{which}_running{{}})"
    return _of_queue(f"{running} or {never} and on (instance) sysv_msg_queue_last_{which}_running{{}}", "waiters")


def _flow(counter: str) -> str:
    return _of_queue(f"max by ({_QUEUE}) (rate({counter}{{}}[$__rate_interval]))", "trace")


QUEUES = [
    Column("Fill", f"max by ({_QUEUE}) ({FILL})", unit="percentunit", steps=CELL_FILLING, decimals=0, width=60),
    Column("Room for", f"max by ({_QUEUE}) ({ROOM})", decimals=0, width=80,
           steps=[(None, CLEAR), (0, BAD), (1, CLEAR)]),
    Column("Messages", f"max by ({_QUEUE}) (sysv_msg_queue_messages{{}})", width=80),
    Column("Bytes", _IS_QUEUE, unit="bytes", width=70),
    Column("Limit", _of_queue(f"max by ({_QUEUE}) (sysv_msg_queue_limit_bytes{{}})", "queues"), unit="bytes", width=75),
    Column("Blocked", _of_queue(f"max by ({_QUEUE}) (sysv_msg_queue_blocked_senders{{}})", "waiters"),
           steps=CELL_BAD, width=72),
    Column("Waiting", _of_queue(f"max by ({_QUEUE}) (sysv_msg_queue_waiting_receivers{{}})", "waiters"), width=72),
    Column("Unread for", f"max by ({_QUEUE}) ({SILENCE})", unit="s",
           steps=[(None, CLEAR), (300, WARNING), (3600, BAD)], decimals=0, width=88),
    Column("Sender", _runs("send"), texts=_RUNNING, width=75),
    Column("Receiver", _runs("receive"), texts=_RUNNING, width=76),
    Column("Sent", _flow("sysv_msg_queue_sent_messages_total"), unit="mps", decimals=1,
           texts={0: ("0 msg/s", CLEAR)}, width=80),
    Column("Received", _flow("sysv_msg_queue_received_messages_total"), unit="mps", decimals=1,
           texts={0: ("0 msg/s", CLEAR)}, width=80),
    Column("Refused",
           _of_queue(f"sum by ({_QUEUE}) ({once('increase(sysv_msg_queue_send_failures_total{}[5m])')})", "trace"),
           steps=CELL_WARNING, decimals=0, width=75),
]  # fmt: skip

_STATES = ["ok", "stale", "torn", "empty", "missing", "unreadable"]
_SERVER = "instance, server"
_STATE = " or ".join(
    f'{place} * (max by ({_SERVER}) (openvpn_status_state{{state="{state}"}}) == 1)'
    for place, state in enumerate(_STATES)
)
"""The index of the state that the status file is in."""

_FAILED = scripts.failures("5m", function="increase")
_DROPPED = once("increase(openvpn_status_updates_dropped_total{}[5m])")
_HANGING = scripts.hanging(_SERVER)
_DOWN = "openvpn_management_up{} == bool 0"
_BAD_STATUS = 'openvpn_status_state{state!="ok"}'
_PROBLEMS = [_DOWN, _BAD_STATUS, _FAILED, _DROPPED, _HANGING]

HANGS: Final = 50
"""Added to the number of problems of a server or host on which OpenVPN waits for a script that hangs, so that it comes
before all that only have problems: larger than any number of problems."""


def _or_unknown(expression: str, exists: str) -> str:
    """Return the expression, and that it is not known for servers that have what `exists` names, and no value."""
    return f"{expression} or {NOT_KNOWN} + 0 * max by ({_SERVER}) ({exists})"


SERVERS = [
    Column("Problems", f"{count_kinds(_PROBLEMS, _SERVER)} + {HANGS} * ({_HANGING} > bool 0) "
           f"or {count_kinds(_PROBLEMS, _SERVER)}",
           steps=[(None, CLEAR), (1, WARNING)], beyond=[(HANGS, "hanging", BAD)], width=80),
    Column("Blocked", scripts.blocked(_SERVER), unit="percentunit", decimals=0,
           steps=[(None, CLEAR), (0.3, WARNING), (0.9, BAD)], width=75),
    Column("Failures", f"sum by ({_SERVER}) ({_FAILED})", steps=CELL_WARNING, decimals=0, width=75),
    Column("Dropped", f"sum by ({_SERVER}) ({_DROPPED})", steps=CELL_WARNING, decimals=0, width=75),
    Column("Management", f"max by ({_SERVER}) (openvpn_management_up{{}})",
           texts={1: ("answers", CLEAR), 0: ("down", WARNING)}, steps=CALM, width=104),
    Column("Status file", _STATE,
           texts={place: (state, WARNING if place else CLEAR) for place, state in enumerate(_STATES)},
           steps=CALM, width=90),
    Column("Status age",
           _or_unknown(f"time() - max by ({_SERVER}) (openvpn_status_update_time_seconds{{}})",
                       "openvpn_status_state{}"),
           unit="s", decimals=0, width=90),
    Column("Clients",
           _or_unknown(f"max by ({_SERVER}) (openvpn_server_connected_clients{{}})",
                       "openvpn_management_up{} or openvpn_status_state{}"), width=75),
    Column("Last log line",
           _or_unknown(f"time() - max by ({_SERVER}) (openvpn_log_last_line_timestamp_seconds{{}})",
                       "openvpn_log_lines_total{}"), unit="s", decimals=0, width=105),
    Column("verb", _or_unknown(f"max by ({_SERVER}) (openvpn_log_verbosity{{}})", "openvpn_management_up{}"),
           steps=[(None, CLEAR), (0, WARNING), (1, CLEAR)], width=75),
    Column("mute", _or_unknown(f"max by ({_SERVER}) (openvpn_log_mute{{}})", "openvpn_management_up{}"),
           steps=CELL_WARNING, width=75),
]  # fmt: skip

_SYSCTLS = {"kernel.msgmnb": "sysv_msgmnb{}_bytes", "kernel.msgmax": "sysv_msgmax{}_bytes",
            "kernel.msgmni": "sysv_msgmni{}_queues"}  # fmt: skip


def _sysctls(infix: str) -> str:
    """Return the three limits as one result, the name of each in the label sysctl."""
    parts = [
        f'label_replace(max by (instance) ({metric.format(infix)}{{}}), "sysctl", "{name}", "", "")'
        for name, metric in _SYSCTLS.items()
    ]
    return " or ".join(parts)


def _identified(metric: str) -> str:
    """Return the metric with what identifies the queue's kernel object as labels."""
    labels = "key, msqid, owner, mode"
    info = f"max by ({TARGET}, queue, {labels}) (sysv_msg_queue_info{{}})"
    return f"max by (instance, queue, {labels}) ({metric} * on ({TARGET}, queue) group_left ({labels}) {info})"


KERNEL_LIMITS = [
    Column("Value", _sysctls(""), width=80),
    Column("Recommended", _sysctls("_recommended"), width=130),
    Column("Shortfall", f"clamp_min(({_sysctls('_recommended')}) - ({_sysctls('')}), 0)",
           steps=CELL_WARNING, width=85),
]  # fmt: skip

_NOBODY: Mapping[float, tuple[str, str]] = {0: ("none yet", CLEAR)}

IDENTITY = [
    Column("Sender's pid", _identified("sysv_msg_queue_last_send_pid{}"), texts=_NOBODY, width=110),
    Column("Receiver's pid", _identified("sysv_msg_queue_last_receive_pid{}"), texts=_NOBODY, width=115),
]

_ENDS: Final = [(None, BAD), (0, WARNING), (14 * 86400, CLEAR)]


def _ends(kind: str) -> str:
    return f'max by ({_SERVER}) (openvpn_certificate_expiry_timestamp_seconds{{kind="{kind}"}}) - time()'


CONFIGURED = [
    Column("Most clients", f"max by ({_SERVER}) (openvpn_max_clients{{}})", width=110),
    Column("Addresses", f"max by ({_SERVER}) (openvpn_address_pool_size{{}})", width=100),
    Column("CA ends in", _ends("ca"), unit="s", steps=_ENDS, width=120),
    Column("Certificate ends in", _ends("cert"), unit="s", steps=_ENDS, width=150),
    Column("CRL ends in", _ends("crl"), unit="s", steps=_ENDS, width=120),
]
