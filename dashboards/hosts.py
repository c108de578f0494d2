"""What Fleet asks about hosts: recorded series and metrics of which a host has a few, and the table of all hosts."""

from typing import Final

from dashboards.columns import HANGS
from dashboards.panels import BAD, WARNING
from dashboards.queries import HOST, NOT_KNOWN, busiest, count_kinds, once, worst
from dashboards.tables import CELL_BAD, CELL_FILLING, CELL_WARNING, CLEAR, Column

DOWN: Final = 100
"""Added to the number of problems of a host that is down, so that it sorts first; larger than any count."""

FULL: Final = 20
"""Added to it on a host that has a full queue, so that it comes after those on which a script hangs (HANGS)."""

FAILING_COLLECTORS: Final = "instance:openvpn_mq_collectors_failing:count{}"
"""There for every host that is up, if the recording rules are loaded."""

BY: Final = ("instance", "cluster")
LEGEND: Final = "{{instance}} {{cluster}}"
HOST_FILL: Final = "sysv_msg_queue_max_fill_ratio{}"
HANGING: Final = "instance_server:openvpn_scripts_hanging:count{}"
BLOCKED: Final = "instance_server:openvpn_blocked_by_scripts:ratio_rate5m{}"
FAILED: Final = "instance_server_hook:openvpn_scripts_failed:increase10m{}"
DROPPED: Final = "instance:openvpn_status_updates_dropped:increase10m{}"
REFUSED: Final = "instance:sysv_msg_queue_sends_refused:increase10m{}"
SENDERS: Final = "instance:sysv_msg_queue_blocked_senders:sum{}"
ENDED: Final = "instance_result:openvpn_connections:increase10m"
UNANSWERED: Final = f'{ENDED}{{result!~"answered|lost"}}'
SILENT: Final = "openvpn_management_up{} == bool 0"
BAD_STATUS: Final = 'openvpn_status_state{state!="ok"}'

SCRIPTS: Final = "scripts|hooks|log"
UPDATES: Final = "hooks|log"
CLIENTS: Final = "management|status"


def _collects(collectors: str) -> str:
    return f'openvpn_mq_scrape_collector_success{{collector=~"{collectors}"}}'


def total(recorded: str, collectors: str) -> str:
    """Return the sum of what is recorded only where something happens; 0 where nothing does."""
    return f"sum({once(recorded)}) or 0 * (group({FAILING_COLLECTORS}) and group({_collects(collectors)}))"


def _cell(expression: str, collectors: str, *, zero: bool = False) -> str:
    """Return a column's query: the expression per host, and that it is not known of the hosts that ought to have it.

    `zero`: the expression has series only where something happens.
    """
    runs = f"max by ({HOST}) ({_collects(collectors)})"
    parts = [expression]
    if zero:
        parts.append(f"0 * max by ({HOST}) ({FAILING_COLLECTORS}) and on ({HOST}) {runs}")
    parts += [f"{NOT_KNOWN} + 0 * {runs}", f"{NOT_KNOWN} + max by ({HOST}) (up{{}} == 0)"]
    return " or ".join(parts)


def _sum(expression: str) -> str:
    return f"sum by ({HOST}) ({once(expression)})"


_IS_DOWN: Final = f"max by ({HOST}) (up{{}} == bool 0)"
_KINDS: Final = [
    "up{} == bool 0", FAILING_COLLECTORS, HANGING, f"{BLOCKED} > bool 0.3", FAILED, DROPPED, REFUSED, SENDERS,
    f"{HOST_FILL} > bool 0.8", UNANSWERED, SILENT, BAD_STATUS,
]  # fmt: skip
_PROBLEMS: Final = f"{count_kinds(_KINDS, HOST)} + {DOWN} * {_IS_DOWN}"
_CRITICAL: Final = (
    f"({HANGS} * (sum by ({HOST}) ({HANGING}) > bool 0) > 0"
    f" or {FULL} * (count by ({HOST}) (instance_queue:sysv_msg_queue_full:ratio{{}}) > bool 0))"
)

HOSTS: Final = [
    Column("Problems", f"{_PROBLEMS} + on ({HOST}) {_CRITICAL} or {_PROBLEMS}",
           steps=[(None, CLEAR), (1, WARNING)],
           beyond=[(DOWN, "down", BAD), (HANGS, "hanging", BAD), (FULL, "full", BAD)], width=80),
    Column("Hanging", _cell(_sum(HANGING), "scripts|hooks", zero=True), steps=CELL_BAD, width=75),
    Column("Blocked", _cell(f"max by ({HOST}) ({BLOCKED})", "scripts|hooks"), unit="percentunit", decimals=0,
           steps=[(None, CLEAR), (0.3, WARNING), (0.9, BAD)], width=75),
    Column("Scripts", _cell(_sum(FAILED), SCRIPTS, zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Dropped", _cell(_sum(DROPPED), UPDATES, zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Refused", _cell(_sum(REFUSED), "trace", zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Senders", _cell(f"max by ({HOST}) ({SENDERS})", "waiters"), steps=CELL_BAD, width=75),
    Column("Fill", _cell(f"max by ({HOST}) ({HOST_FILL})", "queues"), unit="percentunit", steps=CELL_FILLING,
           decimals=0, width=75),
    Column("Connections", _cell(_sum(UNANSWERED), "log"), steps=CELL_WARNING, decimals=0, width=104),
    Column("Management", _cell(_sum(SILENT), "management"), steps=CELL_WARNING, width=104),
    Column("Status", _cell(_sum(BAD_STATUS), "status"), steps=CELL_WARNING, width=75),
    Column("Collectors", _cell(f"max by ({HOST}) ({FAILING_COLLECTORS})", ".+"), steps=CELL_WARNING, width=90),
    Column("Clients", _cell(_sum("openvpn_server_connected_clients{}"), CLIENTS), width=75),
]  # fmt: skip


def _counted(collectors: str) -> str:
    """Return what exists for hosts where one of the collectors counts."""
    return f"({FAILING_COLLECTORS} and on (cluster, job, instance) {_collects(collectors)})"


def by_host(recorded: str, collectors: str) -> str:
    """Return what is recorded, summed per host, of the hosts with the most; `none` if there is none anywhere."""
    expression = f"sum by ({', '.join(BY)}) ({once(recorded)})"
    return busiest(expression, *BY, exists=_counted(collectors))


WORST_SCRIPTS: Final = worst(
    f"sum by (cluster, instance, server, hook) ({once(FAILED)})", "hook", exists=_counted(SCRIPTS)
)
