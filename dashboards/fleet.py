"""The dashboard of all hosts: which of them is in trouble, and with what."""

from dashboards.board import Board
from dashboards.panels import (
    FILLING,
    ZERO_IS_BETTER,
    ZERO_IS_GOOD,
    Query,
    graph,
    headline,
    ranking,
)
from dashboards.queries import FILL, count_kinds, per_minute
from dashboards.tables import Column, address, rows

_DOWN = "up{} == bool 0"
_FAILING = "openvpn_mq_scrape_collector_success{} == bool 0"
_NEARLY_FULL = f"{FILL} > bool 0.8"
_BLOCKED = "sysv_msg_queue_blocked_senders{}"
_DROPPED = "increase(openvpn_status_updates_dropped_total{}[$__range])"
_REFUSED = 'increase(sysv_msg_queue_send_failures_total{errno="EAGAIN"}[$__range])'
_FAILED = "increase(openvpn_script_failures_total{}[$__range])"
_SILENT = "openvpn_management_up{} == bool 0"
_BAD_STATUS = 'openvpn_status_state{state!="ok"}'

_TROUBLES = [
    Column("Down", _DOWN, steps=[(None, "text"), (1, "red")], width=65),
    Column("Collectors", _FAILING, steps=[(None, "text"), (1, "red")], width=90),
    Column("Full", _NEARLY_FULL, steps=[(None, "text"), (1, "orange")], width=60),
    Column("Blocked", _BLOCKED, steps=[(None, "text"), (1, "red")], width=75),
    Column("Dropped", _DROPPED, steps=[(None, "text"), (0.5, "red")], decimals=0, width=80),
    Column("Refused", _REFUSED, steps=[(None, "text"), (0.5, "red")], decimals=0, width=80),
    Column("Scripts", _FAILED, steps=[(None, "text"), (0.5, "red")], decimals=0, width=75),
    Column("Management", _SILENT, steps=[(None, "text"), (1, "red")], width=105),
    Column("Status", _BAD_STATUS, steps=[(None, "text"), (1, "orange")], width=70),
]

_HOSTS = [
    Column("Troubles", count_kinds([column.expression for column in _TROUBLES], "instance"),
           steps=[(None, "green"), (1, "orange"), (3, "red")], width=80),
    *(column._replace(expression=f"sum by (instance) ({column.expression})") for column in _TROUBLES),
    Column("Worst fill", f"max by (instance) ({FILL})", unit="percentunit", steps=FILLING, gauge=True, decimals=0,
           width=140),
    Column("Clients", "sum by (instance) (openvpn_server_connected_clients{})", width=75),
]  # fmt: skip

_WORST_SCRIPTS = f"topk(10, sum by (instance, server, hook, reason) ({_FAILED}))"

BOARD = Board(
    uid="openvpn-mq-fleet",
    description="All hosts with openvpn-mq-exporter: hosts in trouble first, the fullest queues, failing scripts, "
                "dropped status updates.",
    rows={
        "": [
            headline("Hosts down", "Hosts whose exporter Prometheus cannot scrape (up is 0).",
                     f"sum({_DOWN})", source="exporter", steps=ZERO_IS_GOOD),
            headline("Failing collectors",
                     "Collectors that could not read all of their source at the last scrape: their numbers are "
                     "missing or incomplete. The exporter's log says why.",
                     f"sum({_FAILING})", source="exporter", steps=ZERO_IS_GOOD),
            headline("Queues > 80 %", "Queues whose bytes or messages are above 80 % of the queue's own limit.",
                     f"sum({_NEARLY_FULL})", source="queues", steps=ZERO_IS_BETTER),
            headline("Senders blocked",
                     "Threads asleep in msgsnd right now because their queue is full. A client script that sleeps "
                     "here holds up every other client of its OpenVPN server.",
                     f"sum({_BLOCKED})", source="waiters", steps=ZERO_IS_GOOD),
            headline("Updates dropped",
                     "Status updates in the time range that openvpn-mq-hook could not put on their queue.",
                     f"sum({_DROPPED})", source="updates", steps=[(None, "green"), (0.5, "red")]),
            headline("Sends refused",
                     "msgsnd calls in the time range, by any program, that failed with EAGAIN: a non-blocking sender "
                     "found the queue full and lost its message. Counted in the kernel.",
                     f"sum({_REFUSED})", source="trace", steps=[(None, "green"), (0.5, "red")]),
            headline("Scripts failed", "Failed scripts and plugins in the time range, as OpenVPN's log reports them.",
                     f"sum({_FAILED})", source="log", steps=[(None, "green"), (0.5, "red")]),
            headline("Not answering", "OpenVPN servers whose management interface did not answer the last poll.",
                     f"sum({_SILENT})", source="management", steps=ZERO_IS_GOOD),
        ],
        "Hosts": [
            rows(
                "Hosts, those in trouble first",
                "One row a host. Troubles: how many of the columns Down to Status are above 0. Collectors: those that "
                "fail. Full: queues above 80 %. Blocked: threads asleep in msgsnd. In the time range: Dropped, status "
                "updates lost by openvpn-mq-hook; Refused, sends that failed with EAGAIN; Scripts, those that failed. "
                "Management: servers that do not answer. Status: files that are stale or unreadable. off: that "
                "collector is not enabled there, or the host is down. A host's name leads to its queues, its clients "
                "to its OpenVPN servers.",
                {"instance": "Host"},
                _HOSTS,
                source="exporter",
                sort="Troubles",
                nothing="off",
                height=9,
                links={
                    "Host": ("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}")),
                    "Clients": ("OpenVPN on this host",
                                address("openvpn-mq-openvpn", instance="${__data.fields.Host}")),
                },
            ),
        ],
        "Queues": [
            ranking("Fullest queues", "The ten queues closest to their limit right now, of all hosts.",
                    Query(f"sort_desc(topk(10, {FILL}))", "{{queue}} @ {{instance}}"),
                    source="queues", unit="percentunit", steps=FILLING, width=8, most=1),
            graph("Fullest queue of each host", "The largest fill of all queues of a host.",
                  Query(f"max by (instance) ({FILL})", "{{instance}}"),
                  source="queues", unit="percentunit", steps=[(None, "transparent"), (0.8, "orange")], most=1),
            graph("Messages waiting", "All messages in all queues of a host, those without series of their own too.",
                  Query("sum by (instance) (sysv_msg_messages{})", "{{instance}}"),
                  source="queues", unit="none"),
        ],
        "Losses and failures": [
            graph("Sends refused (EAGAIN)",
                  "Messages a minute that non-blocking senders lost because the queue was full; counted in the kernel.",
                  Query(per_minute('sysv_msg_queue_send_failures_total{errno="EAGAIN"}', "instance"), "{{instance}}"),
                  source="trace", unit="mpm"),
            graph("Status updates dropped",
                  "Status updates a minute that openvpn-mq-hook could not put on their queue.",
                  Query(per_minute("openvpn_status_updates_dropped_total{}", "instance"), "{{instance}}"),
                  source="updates", unit="mpm"),
            graph("Scripts failed", "Failed scripts and plugins a minute, as OpenVPN's log reports them.",
                  Query(per_minute("openvpn_script_failures_total{}", "instance"), "{{instance}}"),
                  source="log", unit="epm"),
            rows(
                "Scripts and plugins that failed most",
                "The ten pairs of hook and reason with the most failures in the time range, as OpenVPN's log reports "
                "them. A host's name leads to its OpenVPN servers.",
                {"instance": "Host", "server": "Server", "hook": "Hook", "reason": "Reason"},
                [Column("Failures", _WORST_SCRIPTS, steps=[(None, "text"), (0.5, "red")], decimals=0, width=90)],
                source="log", sort="Failures", height=9, width=14,
                links={"Host": ("OpenVPN on this host", address("openvpn-mq-openvpn", instance="${__value.raw}"))},
            ),
            graph("Clients connected", "Clients of all OpenVPN servers of a host.",
                  Query("sum by (instance) (openvpn_server_connected_clients{})", "{{instance}}"),
                  source="clients", unit="none", width=10).height(9),
        ],
        "Exporters": [
            graph("Time to collect", "What all collectors of an exporter together took for a scrape.",
                  Query("sum by (instance) (openvpn_mq_scrape_collector_duration_seconds{})", "{{instance}}"),
                  source="exporter", unit="s", width=12),
            rows(
                "Versions",
                "Which exporter runs where since when, and how many queues it sees. Omitted: queues without series of "
                "their own, left out by --collector.queues.include, exclude or max-series; the totals count them.",
                {"instance": "Host", "version": "Version"},
                [Column("Running since",
                        "1000 * max by (instance, version) (openvpn_mq_exporter_build_info{} * on (job, instance) "
                        "group_left () process_start_time_seconds{})",
                        unit="dateTimeFromNow", width=130),
                 Column("Queues", "sum by (instance) (sysv_msg_queues{})", width=80),
                 Column("Omitted", "sum by (instance) (sysv_msg_queues_omitted{})",
                        steps=[(None, "text"), (1, "orange")], width=85)],
                source="exporter", sort="Running since", height=8, width=12,
            ),
        ],
    },
)  # fmt: skip
