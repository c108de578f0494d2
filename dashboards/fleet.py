"""The dashboard of all hosts: which of them is in trouble, and with what."""

from dashboards.board import Board
from dashboards.graphs import PER_MINUTE, Query, graph
from dashboards.panels import FILLING, FILLING_PERCENT, ZERO_IS_BETTER, ZERO_IS_GOOD, headline
from dashboards.queries import FILL, MOST, PERCENT_FULL, count_kinds, events, top, worst
from dashboards.tables import DOWN, LOST, NOTED, Column, address, rows

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
    Column("Collectors", _FAILING, steps=LOST, width=90),
    Column("Full", _NEARLY_FULL, steps=NOTED, width=60),
    Column("Blocked", _BLOCKED, steps=LOST, width=75),
    Column("Dropped", _DROPPED, steps=LOST, decimals=0, width=80),
    Column("Refused", _REFUSED, steps=LOST, decimals=0, width=80),
    Column("Scripts", _FAILED, steps=LOST, decimals=0, width=75),
    Column("Management", _SILENT, steps=LOST, width=105),
    Column("Status", _BAD_STATUS, steps=NOTED, width=70),
]

_COUNT = count_kinds([_DOWN, *(column.expression for column in _TROUBLES)], "instance")

_HOSTS = [
    Column("Troubles", f"{_COUNT} + {DOWN} * sum by (instance) ({_DOWN})",
           steps=[(None, "transparent"), (1, "dark-orange"), (3, "semi-dark-red")],
           beyond=(DOWN, "down", "semi-dark-red"), width=85),
    *(column._replace(expression=f"sum by (instance) ({column.expression})") for column in _TROUBLES),
    Column("Worst fill", f"max by (instance) ({FILL})", unit="percentunit", steps=FILLING, gauge=True, decimals=0,
           width=130),
    Column("Clients", "sum by (instance) (openvpn_server_connected_clients{})", width=75),
]  # fmt: skip

_WORST_SCRIPTS = worst(f"sum by (instance, server, hook, reason) ({_FAILED})", "hook")

BOARD = Board(
    uid="openvpn-mq-fleet",
    description="All hosts with openvpn-mq-exporter: hosts in trouble first, the fullest queues, failing scripts, "
                "dropped status updates.",
    rows={
        "": [
            headline("Hosts down", "Hosts whose exporter Prometheus cannot scrape (up is 0).",
                     f"sum({_DOWN})", source="exporter", steps=ZERO_IS_GOOD),
            headline("Collectors fail",
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
            headline("Management down", "OpenVPN servers whose management interface did not answer the last poll.",
                     f"sum({_SILENT})", source="management", steps=ZERO_IS_GOOD),
            rows(
                "Hosts, those in trouble first",
                "One row a host. Troubles: how many of the columns Collectors to Status are above 0; down: Prometheus "
                "cannot scrape its exporter. Collectors: those that fail. Full: queues above 80 %. Blocked: threads "
                "asleep in msgsnd. In the time range: Dropped, status updates lost by openvpn-mq-hook; Refused, sends "
                "that failed with EAGAIN; Scripts, those that failed. Management: servers that do not answer. Status: "
                "files that are stale or unreadable. off: that collector is not enabled there, or the host is down. A "
                "host's name leads to its queues, its clients to its OpenVPN servers.",
                {"instance": "Host"},
                _HOSTS,
                source="exporter",
                sort="Troubles",
                nothing="off",
                height=11,
                links={
                    "Host": ("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}")),
                    "Clients": ("OpenVPN on this host",
                                address("openvpn-mq-openvpn", instance="${__data.fields.Host}")),
                },
            ),
        ],
        "Queues and clients": [
            rows(
                "Fullest queues (top 8)",
                "The eight queues closest to their limit right now, of all hosts. A queue's name shows it alone, its "
                "host's name all queues of that host.",
                {"queue": "Queue", "instance": "Host"},
                [Column("Fill", f"topk({MOST}, max by (instance, queue) ({FILL}))", unit="percentunit", steps=FILLING,
                        gauge=True, decimals=0, width=180)],
                source="queues", sort="Fill", height=10, width=10,
                links={
                    "Queue": ("This queue alone",
                              address("openvpn-mq-queues", instance="${__data.fields.Host}", queue="${__value.raw}")),
                    "Host": ("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}")),
                },
            ),
            graph("Fullest queue by host (top 8)",
                  "The largest fill of all queues of a host; the eight hosts where it was highest in the time range.",
                  Query(top(f"max by (instance) ({PERCENT_FULL})", "instance"), "{{instance}}"),
                  source="queues", unit="percent", steps=FILLING_PERCENT, most=100, width=14).height(10),
            graph("Messages waiting (top 8)",
                  "All messages in all queues of a host, those without series of their own too; the eight hosts with "
                  "the most in the time range.",
                  Query(top("sum by (instance) (sysv_msg_messages{})", "instance"), "{{instance}}"),
                  source="queues", unit="none"),
            graph("Clients connected (top 8)",
                  "Clients of all OpenVPN servers of a host; the eight hosts with the most in the time range.",
                  Query(top("sum by (instance) (openvpn_server_connected_clients{})", "instance"), "{{instance}}"),
                  source="clients", unit="none"),
        ],
        "Losses and failures": [
            rows(
                "Scripts and plugins that failed (top 8)",
                "Where in the time range which hook failed for which reason, as OpenVPN's log reports it; the eight "
                "with the most failures, none where there are none. A host's name leads to its OpenVPN servers.",
                {"instance": "Host", "server": "Server", "hook": "Hook", "reason": "Reason"},
                [Column("Failures", _WORST_SCRIPTS, steps=[(None, "text"), (0.5, "red")], decimals=0, width=80)],
                source="log", sort="Failures", height=10, width=14,
                links={"Host": ("OpenVPN on this host", address("openvpn-mq-openvpn", instance="${__value.raw}"))},
            ),
            graph("Scripts and plugins that failed, by host (top 8)",
                  "Failures a minute, as OpenVPN's log reports them; the eight hosts with the most, none where there "
                  "are none.",
                  Query(events("openvpn_script_failures_total{}", "instance"), "{{instance}}", "red"),
                  source="log", unit=PER_MINUTE, most=1, width=10).height(10),
            graph("Sends refused (EAGAIN), by host (top 8)",
                  "Messages a minute that non-blocking senders lost because the queue was full, counted in the "
                  "kernel; the eight hosts with the most, none where there are none.",
                  Query(events('sysv_msg_queue_send_failures_total{errno="EAGAIN"}', "instance"),
                        "{{instance}}", "red"),
                  source="trace", unit=PER_MINUTE, most=1),
            graph("Status updates dropped, by host (top 8)",
                  "Status updates a minute that openvpn-mq-hook could not put on their queue; the eight hosts with "
                  "the most, none where there are none.",
                  Query(events("openvpn_status_updates_dropped_total{}", "instance"), "{{instance}}", "red"),
                  source="updates", unit=PER_MINUTE, most=1),
        ],
        "Exporters": [
            graph("Time to collect (top 8)",
                  "What all collectors of an exporter together took for a scrape; the eight slowest of the time range.",
                  Query(top("sum by (instance) (openvpn_mq_scrape_collector_duration_seconds{})", "instance"),
                        "{{instance}}"),
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
                        steps=NOTED, width=85)],
                source="exporter", sort="Running since", height=8, width=12,
            ),
        ],
    },
)  # fmt: skip
