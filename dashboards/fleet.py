"""The dashboard of all hosts: which of them is in trouble, and with what."""

from dashboards.board import Board
from dashboards.panels import (
    FILLING,
    NEUTRAL,
    ZERO_IS_BETTER,
    ZERO_IS_GOOD,
    Column,
    Query,
    graph,
    headline,
    ranking,
    rows,
)
from dashboards.queries import FILL, count_kinds, in_range, per_minute

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
    Column("Down", _DOWN, steps=[(None, "text"), (1, "red")]),
    Column("Collectors failing", _FAILING, steps=[(None, "text"), (1, "red")]),
    Column("Queues > 80 %", _NEARLY_FULL, steps=[(None, "text"), (1, "orange")]),
    Column("Senders blocked", _BLOCKED, steps=[(None, "text"), (1, "red")]),
    Column("Updates dropped", _DROPPED, steps=[(None, "text"), (0.5, "red")], decimals=0),
    Column("Sends refused", _REFUSED, steps=[(None, "text"), (0.5, "red")], decimals=0),
    Column("Scripts failed", _FAILED, steps=[(None, "text"), (0.5, "red")], decimals=0),
    Column("Management down", _SILENT, steps=[(None, "text"), (1, "red")]),
    Column("Status not ok", _BAD_STATUS, steps=[(None, "text"), (1, "orange")]),
]

_HOSTS = [
    Column("Troubles", count_kinds([column.expression for column in _TROUBLES], "instance"),
           steps=[(None, "green"), (1, "orange"), (3, "red")]),
    *(column._replace(expression=f"sum by (instance) ({column.expression})") for column in _TROUBLES),
    Column("Worst fill", f"max by (instance) ({FILL})", unit="percentunit", steps=FILLING, gauge=True, decimals=0),
    Column("Clients", "sum by (instance) (openvpn_server_connected_clients{})"),
]  # fmt: skip

_TO_QUEUES = "/d/openvpn-mq-queues?${datasource:queryparam}&${job:queryparam}&${__url_time_range}&var-instance="
_TO_OPENVPN = "/d/openvpn-mq-openvpn?${datasource:queryparam}&${job:queryparam}&${__url_time_range}&var-instance="

BOARD = Board(
    uid="openvpn-mq-fleet",
    description="All hosts with openvpn-mq-exporter: hosts in trouble first, the fullest queues, failing scripts, "
    "dropped status updates.",
    rows={
        "": [
            headline("Exporters down", "Hosts whose exporter Prometheus cannot scrape (up is 0).",
                     f"sum({_DOWN})", source="exporter", steps=ZERO_IS_GOOD),
            headline("Collectors failing",
                     "Collectors that could not read all of their source at the last scrape: their numbers are missing "
                     "or incomplete. The exporter's log says why.",
                     f"sum({_FAILING})", source="exporter", steps=ZERO_IS_GOOD),
            headline("Queues over 80 %", "Queues whose bytes or messages are above 80 % of the queue's own limit.",
                     f"sum({_NEARLY_FULL})", source="queues", steps=ZERO_IS_BETTER),
            headline("Senders blocked",
                     "Threads asleep in msgsnd right now because their queue is full. A client script that sleeps here "
                     "holds up every other client of its OpenVPN server.",
                     f"sum({_BLOCKED})", source="waiters", steps=ZERO_IS_GOOD),
            headline("Updates dropped",
                     "Status updates in the time range that openvpn-mq-hook could not put on their queue.",
                     f"sum({_DROPPED})", source="hooks", steps=[(None, "green"), (0.5, "red")]),
            headline("Sends refused",
                     "msgsnd calls in the time range, by any program, that failed with EAGAIN: a non-blocking sender "
                     "found the queue full and lost its message. Counted in the kernel.",
                     f"sum({_REFUSED})", source="trace", steps=[(None, "green"), (0.5, "red")]),
            headline("Scripts failed", "Failed scripts and plugins in the time range, as OpenVPN's log reports them.",
                     f"sum({_FAILED})", source="log", steps=[(None, "green"), (0.5, "red")]),
            headline("Servers not answering", "OpenVPN servers whose management interface did not answer the last poll.",
                     f"sum({_SILENT})", source="management", steps=ZERO_IS_GOOD),
        ],
        "Hosts": [
            rows(
                "Hosts, those in trouble first",
                "One row a host. Troubles counts how many of the columns to its right are above 0. A dash: that "
                "collector is not enabled there. Dropped, refused and failed are counted over the time range. A host's "
                "name leads to its queues, the number of clients to its OpenVPN servers.",
                {"instance": "Host"},
                _HOSTS,
                source="exporter",
                sort="Troubles",
                height=9,
                links={
                    "Host": ("Queues of this host", _TO_QUEUES + "${__value.raw}"),
                    "Clients": ("OpenVPN on this host", _TO_OPENVPN + "${__data.fields.Host}"),
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
                  source="queues", unit="short"),
        ],
        "Losses and failures": [
            graph("Sends refused (EAGAIN)",
                  "Messages a minute that non-blocking senders lost because the queue was full; counted in the kernel.",
                  Query(per_minute('sysv_msg_queue_send_failures_total{errno="EAGAIN"}', "instance"), "{{instance}}"),
                  source="trace", unit="mpm"),
            graph("Status updates dropped", "Status updates a minute that openvpn-mq-hook could not put on their queue.",
                  Query(per_minute("openvpn_status_updates_dropped_total{}", "instance"), "{{instance}}"),
                  source="hooks", unit="mpm"),
            graph("Scripts failed", "Failed scripts and plugins a minute, as OpenVPN's log reports them.",
                  Query(per_minute("openvpn_script_failures_total{}", "instance"), "{{instance}}"),
                  source="log", unit="epm"),
            rows(
                "Scripts and plugins that failed most",
                "The ten pairs of hook and reason with the most failures in the time range, as OpenVPN's log reports "
                "them. A host's name leads to its OpenVPN servers.",
                {"instance": "Host", "server": "Server", "hook": "Hook", "reason": "Reason"},
                [Column("Failures",
                        f"topk(10, {in_range('openvpn_script_failures_total{}', 'instance', 'server', 'hook', 'reason')})",
                        steps=[(None, "text"), (0.5, "red")], decimals=0)],
                source="log", sort="Failures", height=9, width=12,
                links={"Host": ("OpenVPN on this host", _TO_OPENVPN + "${__value.raw}")},
            ),
            graph("Clients connected", "Clients of all OpenVPN servers of a host.",
                  Query("sum by (instance) (openvpn_server_connected_clients{})", "{{instance}}"),
                  source="clients", unit="short", width=12).height(9),
        ],
        "Exporters": [
            graph("Time to collect", "What all collectors of an exporter together took for a scrape.",
                  Query("sum by (instance) (openvpn_mq_scrape_collector_duration_seconds{})", "{{instance}}"),
                  source="exporter", unit="s", width=12),
            rows(
                "Versions",
                "Which exporter runs where since when, and how many queues it sees. Queues without series are left out by "
                "--collector.queues.include, exclude or max-series; the totals still count them.",
                {"instance": "Host", "version": "Exporter", "pythonversion": "Python"},
                [Column("Running since",
                        "1000 * max by (instance, version, pythonversion) (openvpn_mq_exporter_build_info{} "
                        "* on (job, instance) group_left () process_start_time_seconds{})", unit="dateTimeFromNow"),
                 Column("Queues", "sum by (instance) (sysv_msg_queues{})"),
                 Column("Queues without series", "sum by (instance) (sysv_msg_queues_omitted{})",
                        steps=[(None, "text"), (1, "orange")])],
                source="exporter", sort="Running since", height=8, width=12,
            ),
        ],
    },
)  # fmt: skip
