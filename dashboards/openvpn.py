"""The dashboard of the OpenVPN servers: scripts, status updates, management interface, clients, log."""

from dashboards.board import Board, Variable
from dashboards.panels import NEUTRAL, ZERO_IS_GOOD, Query, graph, headline
from dashboards.queries import events, quantile
from dashboards.tables import Column, address, rows

_SERVER = "{{server}} @ {{instance}}"
_HOOK = "{{hook}} {{server}} @ {{instance}}"
_LOST = [(None, "green"), (0.5, "red")]

_STATES = ["ok", "stale", "torn", "empty", "missing", "unreadable"]
_STATE = " or ".join(
    f'{place} * (max by (instance, server) (openvpn_status_state{{state="{state}"}}) == 1)'
    for place, state in enumerate(_STATES)
)
"""The number of the state that the status file is in."""

_SERVERS = [
    Column("Management", "max by (instance, server) (openvpn_management_up{})",
           texts={1: ("answers", "green"), 0: ("down", "red")}, width=105),
    Column("Status file", _STATE,
           texts={place: (state, "orange" if place else "green") for place, state in enumerate(_STATES)}, width=90),
    Column("Status age", "time() - max by (instance, server) (openvpn_status_update_time_seconds{})", unit="s",
           decimals=0, width=95),
    Column("Clients", "max by (instance, server) (openvpn_server_connected_clients{})", width=75),
    Column("Scripts failed", "sum by (instance, server) (increase(openvpn_script_failures_total{}[$__range]))",
           steps=[(None, "text"), (0.5, "red")], decimals=0, width=115),
    Column("Updates dropped", "sum by (instance, server) (increase(openvpn_status_updates_dropped_total{}[$__range]))",
           steps=[(None, "text"), (0.5, "red")], decimals=0, width=130),
    Column("Last log line", "time() - max by (instance, server) (openvpn_log_last_line_timestamp_seconds{})", unit="s",
           decimals=0, width=105),
    Column("verb", "max by (instance, server) (openvpn_log_verbosity{})",
           steps=[(None, "orange"), (1, "text")], width=60),
    Column("mute", "max by (instance, server) (openvpn_log_mute{})", steps=[(None, "text"), (1, "orange")], width=60),
]  # fmt: skip

BOARD = Board(
    uid="openvpn-mq-openvpn",
    description="The OpenVPN servers: scripts by hook and reason, durations, status updates, management interface, "
                "clients, log.",
    variables=[
        Variable(
            "server",
            "Server",
            'label_values({__name__=~"openvpn_(log|hook|management|status)_.+",job=~"$job",instance=~"$instance"}, '
            "server)",
        )
    ],
    matchers={"openvpn_(?!mq_)": 'server=~"$server"'},
    rows={
        "": [
            headline("Scripts failed", "Failed scripts and plugins in the time range, as OpenVPN's log reports them.",
                     "sum(increase(openvpn_script_failures_total{}[$__range]))", source="log", steps=_LOST),
            headline("Failure ratio",
                     "Share of the scripts run under openvpn-mq-hook in the time range that ended badly.",
                     "sum(increase(openvpn_hook_failures_total{}[$__range])) / "
                     "(sum(increase(openvpn_hook_runs_total{}[$__range])) > 0) or "
                     "sum(increase(openvpn_hook_failures_total{}[$__range]))",
                     source="hooks", unit="percentunit", steps=[(None, "green"), (0.01, "orange"), (0.1, "red")]),
            headline("Standing still",
                     "Share of the last minutes in which OpenVPN waited for a script and served nobody else; the "
                     "worst server.",
                     "max(sum by (instance, server) (rate(openvpn_hook_duration_seconds_sum{}[$__rate_interval])))",
                     source="runs", unit="percentunit", steps=[(None, "green"), (0.1, "orange"), (0.3, "red")]),
            headline("Updates dropped",
                     "Status updates in the time range that openvpn-mq-hook could not put on their queue.",
                     "sum(increase(openvpn_status_updates_dropped_total{}[$__range]))", source="updates", steps=_LOST),
            headline("Not answering", "Servers whose management interface did not answer the last poll.",
                     "sum(openvpn_management_up{} == bool 0)", source="management", steps=ZERO_IS_GOOD),
            headline("Bad status file", "Servers whose status file is stale, torn, empty, missing or unreadable.",
                     'sum(openvpn_status_state{state!="ok"})', source="status", steps=ZERO_IS_GOOD),
            headline("Muted lines",
                     "Lines in the time range that OpenVPN said it left out (--mute): failures among them are not "
                     "counted.",
                     "sum(increase(openvpn_log_suppressed_lines_total{}[$__range]))", source="log",
                     steps=[(None, "green"), (0.5, "orange")]),
            headline("Clients", "Clients of the chosen servers.",
                     "sum(openvpn_server_connected_clients{})", source="clients", steps=NEUTRAL),
        ],
        "Servers": [
            rows(
                "Servers",
                "One row a server, the one with the most failed scripts first. Status age: time since the TIME inside "
                "the status file. Failed and dropped are counted over the time range. verb below 1 or mute above 0: "
                "the log does not show every failure. off: not enabled for that server.",
                {"server": "Server", "instance": "Host"},
                _SERVERS, source="servers", sort="Scripts failed", height=7, nothing="off",
                links={"Host": ("Queues of this host",
                                address("openvpn-mq-queues", instance="${__value.raw}"))},
            ),
        ],
        "Scripts": [
            graph("Failures in the log",
                  "Failed scripts and plugins a minute, by hook and reason, as OpenVPN's log reports them; none where "
                  "nothing fails.",
                  Query(events("openvpn_script_failures_total{}", "hook", "reason"), "{{hook}} {{reason}}"),
                  source="log", unit="epm", bars=True),
            graph("Failures under the hook",
                  "Scripts a minute that openvpn-mq-hook saw end badly, by hook and reason; none where nothing fails.",
                  Query(events("openvpn_hook_failures_total{}", "hook", "reason"), "{{hook}} {{reason}}"),
                  source="hooks", unit="epm", bars=True),
            graph("Scripts run", "Scripts started a minute under openvpn-mq-hook.",
                  Query("60 * sum by (instance, server, hook) (rate(openvpn_hook_runs_total{}[$__rate_interval]))",
                        _HOOK), source="hooks", unit="opm"),
            graph("How long scripts take", "For 50 % and 99 % of the scripts. OpenVPN serves nobody else meanwhile.",
                  Query(quantile(0.99, "openvpn_hook_duration_seconds_bucket{}", "hook", "server", "instance"),
                        f"p99 {_HOOK}"),
                  Query(quantile(0.5, "openvpn_hook_duration_seconds_bucket{}", "hook", "server", "instance"),
                        f"p50 {_HOOK}"),
                  source="runs", unit="s", sparse=True),
            graph("OpenVPN standing still",
                  "Share of the time that OpenVPN spent waiting for scripts, by hook: as long as a script runs, no "
                  "packet of any client passes.",
                  Query("sum by (instance, server, hook) (rate(openvpn_hook_duration_seconds_sum{}[$__rate_interval]))",
                        _HOOK), source="runs", unit="percentunit"),
            graph("Scripts running",
                  "Scripts that have started and not ended. One that stays at 1 hangs, and its server with it.",
                  Query("openvpn_hook_running{}", _HOOK), source="hooks", unit="none"),
        ],
        "Status updates and management": [
            graph("Status updates",
                  "Updates a minute that openvpn-mq-hook tried to put on a queue (up), and those that never reached "
                  "it (down).",
                  Query("60 * sum by (instance, server, queue) "
                        "(rate(openvpn_status_updates_total{}[$__rate_interval]))",
                        "tried {{queue}} {{server}} @ {{instance}}"),
                  Query(events("openvpn_status_updates_dropped_total{}", "reason", "queue", sign="-"),
                        "dropped {{reason}} {{queue}}"),
                  source="updates", unit="mpm", mirrored=True),
            graph("Management command delay",
                  "From sending load-stats to its reply, for 50 % and 99 % of the polls, and the age of a command "
                  "that still waits for its reply.",
                  Query(quantile(0.99, "openvpn_management_command_duration_seconds_bucket{}", "server", "instance"),
                        f"p99 {_SERVER}"),
                  Query(quantile(0.5, "openvpn_management_command_duration_seconds_bucket{}", "server", "instance"),
                        f"p50 {_SERVER}"),
                  Query("openvpn_management_command_pending_seconds{}", f"pending {_SERVER}"),
                  source="management", unit="s", sparse=True),
            graph("Management polls that failed",
                  "Polls a minute without a proper answer. busy: somebody else holds the socket.",
                  Query(events("openvpn_management_command_failures_total{}", "reason"), "{{reason}}"),
                  source="management", unit="epm", bars=True),
        ],
        "Clients": [
            graph("Clients connected", "From the management interface, or the status file where there is none.",
                  Query("openvpn_server_connected_clients{}", _SERVER), source="clients", unit="none"),
            graph("Traffic", "Bytes a second from clients (up) and to clients (down), as load-stats counts them.",
                  Query("rate(openvpn_server_received_bytes_total{}[$__rate_interval])", f"from {_SERVER}"),
                  Query("-rate(openvpn_server_sent_bytes_total{}[$__rate_interval])", f"to {_SERVER}"),
                  source="management", unit="Bps", mirrored=True),
            graph("Age of the status file",
                  "Time since the TIME inside the file. A saw-tooth as high as the interval of --status is healthy.",
                  Query("time() - openvpn_status_update_time_seconds{}", _SERVER), source="status", unit="s"),
        ],
        "Log": [
            graph("Troubles in the log",
                  "Lines a minute that mean trouble without being a script failure; none where there is none.",
                  Query(events("openvpn_log_events_total{}", "event"), "{{event}}"),
                  source="log", unit="epm", bars=True),
            graph("Packets dropped",
                  "Packets a minute that OpenVPN says it dropped; none where it drops none. Output saturation and mbuf "
                  "are told from verb 4 on only.",
                  Query(events("openvpn_packets_dropped_total{}", "reason"), "{{reason}}"),
                  source="log", unit="cpm", bars=True),
            graph("Lines about message queues",
                  "Lines a minute of the site's own scripts that speak of a message queue, and lines that matched the "
                  "configuration's log_rules; none where there are none.",
                  Query(events("openvpn_log_message_queue_lines_total{}", "kind"), "queue {{kind}}"),
                  Query(events("openvpn_log_rule_matches_total{}", "rule"), "rule {{rule}}"),
                  source="log", unit="epm", bars=True),
            graph("Log lines",
                  "Lines read a minute (up), and lines that OpenVPN left out because of --mute (down). No line at all "
                  "for long: the log is silent, and so are the counters that come from it.",
                  Query("60 * rate(openvpn_log_lines_total{}[$__rate_interval])", f"read {_SERVER}"),
                  Query("-60 * rate(openvpn_log_suppressed_lines_total{}[$__rate_interval])", f"muted {_SERVER}"),
                  source="log", unit="cpm", width=12, mirrored=True),
            rows(
                "Collectors",
                "Which collectors run on which host, and whether they could read all of their source at the last "
                "scrape. One that is not listed is not enabled.",
                {"instance": "Host", "collector": "Collector"},
                [Column("State", "max by (instance, collector) (openvpn_mq_scrape_collector_success{})",
                        texts={1: ("works", "green"), 0: ("fails", "red")}, width=90),
                 Column("Took", "max by (instance, collector) (openvpn_mq_scrape_collector_duration_seconds{})",
                        unit="s", width=100)],
                source="exporter", sort="Took", height=8, width=12,
            ),
        ],
    },
)  # fmt: skip
