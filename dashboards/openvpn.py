"""The dashboard of the OpenVPN servers: scripts, status updates, management interface, clients, log."""

from dashboards.board import Board, Variable
from dashboards.columns import SERVERS
from dashboards.graphs import PER_MINUTE, Query, graph
from dashboards.panels import NEUTRAL, ZERO_IS_GOOD, headline
from dashboards.queries import busiest, events, mirrored, rate, slowest, top
from dashboards.tables import FILLED, Column, address, rows

_SERVER = "{{server}} @ {{instance}}"
_HOOK = "{{hook}} {{server}} @ {{instance}}"
_LOST = [(None, "green"), (0.5, "red")]

_DURATIONS = "openvpn_hook_duration_seconds_bucket{}"
_DELAYS = "openvpn_management_command_duration_seconds_bucket{}"

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
            headline("Management down", "Servers whose management interface did not answer the last poll.",
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
            rows(
                "Servers, those in trouble first",
                "One row a server. Troubles: how many there are of a management interface that does not answer, a bad "
                "status file, failed scripts, dropped updates. Status age: time since the TIME inside the status file. "
                "Failed and dropped are counted over the time range. verb below 1 or mute above 0: the log does not "
                "show every failure. off: not enabled for that server. A host's name leads to its queues.",
                {"server": "Server", "instance": "Host"},
                SERVERS, source="servers", sort="Troubles", height=8, nothing="off",
                links={"Host": ("Queues of this host",
                                address("openvpn-mq-queues", instance="${__value.raw}"))},
            ),
        ],
        "Scripts": [
            graph("Scripts failed, by the log",
                  "Failed scripts and plugins a minute, by hook and reason, as OpenVPN's log reports them; none where "
                  "nothing fails.",
                  Query(events("openvpn_script_failures_total{}", "hook", "reason"), "{{hook}} {{reason}}", "red"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Scripts failed, by the hook",
                  "Scripts a minute that openvpn-mq-hook saw end badly, by hook and reason; none where nothing fails.",
                  Query(events("openvpn_hook_failures_total{}", "hook", "reason"), "{{hook}} {{reason}}", "red"),
                  source="hooks", unit=PER_MINUTE, bars=True),
            graph("Scripts run (top 8)",
                  "Scripts started a minute under openvpn-mq-hook; the eight most frequent ones of the time range.",
                  Query(events("openvpn_hook_runs_total{}", "hook", "server", "instance"), _HOOK),
                  source="hooks", unit=PER_MINUTE),
            graph("How long scripts take (top 4)",
                  "For 50 % and 99 % of the scripts; the four slowest of the time range. OpenVPN serves nobody else "
                  "meanwhile.",
                  *(Query(slowest(share, _DURATIONS, "hook", "server", "instance", most=4),
                          f"{name} {_HOOK}", colour)
                    for share, name, colour in ((0.99, "p99", "purple"), (0.5, "p50", "blue"))),
                  source="runs", unit="s", sparse=True),
            graph("OpenVPN standing still (top 8)",
                  "Share of the time that OpenVPN spent waiting for scripts, by hook: as long as a script runs, no "
                  "packet of any client passes.",
                  Query(busiest(rate("openvpn_hook_duration_seconds_sum{}", "hook", "server", "instance"),
                                "hook", "server", "instance"), _HOOK),
                  source="runs", unit="percentunit"),
            graph("Scripts running (top 8)",
                  "Scripts that have started and not ended; none where no scrape saw any. One that stays at 1 hangs, "
                  "and its server with it.",
                  Query(busiest("openvpn_hook_running{}", "hook", "server", "instance"), _HOOK),
                  source="hooks", unit="none", most=1),
        ],
        "Status updates and management": [
            graph("Status updates (top 4 each)",
                  "Updates a minute that openvpn-mq-hook tried to put on a queue, and those that never reached it.",
                  Query(events("openvpn_status_updates_total{}", "queue", "instance", most=4),
                        "tried {{queue}} @ {{instance}}"),
                  Query(events("openvpn_status_updates_dropped_total{}", "reason", "queue", most=4),
                        "dropped {{reason}} {{queue}}", "red"),
                  source="updates", unit=PER_MINUTE, most=1),
            graph("Management command delay (top 4)",
                  "From sending load-stats to its reply, for 99 % of the polls, and the age of a command that still "
                  "waits for its reply; the four slowest servers of the time range.",
                  Query(slowest(0.99, _DELAYS, "server", "instance", most=4), f"p99 {_SERVER}", "purple"),
                  Query(busiest("openvpn_management_command_pending_seconds{}", "server", "instance", most=4),
                        f"pending {_SERVER}", "orange"),
                  source="management", unit="s", sparse=True),
            graph("Management polls that failed",
                  "Polls a minute without a proper answer; none where all are answered. busy: somebody else holds the "
                  "socket.",
                  Query(events("openvpn_management_command_failures_total{}", "reason"), "{{reason}}", "red"),
                  source="management", unit=PER_MINUTE, bars=True),
            graph("Age of the status file (top 8)",
                  "Time since the TIME inside the file. A saw-tooth as high as the interval of --status is healthy.",
                  Query(top("time() - openvpn_status_update_time_seconds{}", "server", "instance"), _SERVER),
                  source="status", unit="s"),
        ],
        "Clients": [
            graph("Clients connected (top 8)",
                  "From the management interface, or the status file where there is none.",
                  Query(top("openvpn_server_connected_clients{}", "server", "instance"), _SERVER),
                  source="clients", unit="none"),
            graph("Traffic (top 4)", "Bytes a second from clients (up) and to clients (down), as load-stats counts "
                  "them; the four busiest servers.",
                  Query(top(rate("openvpn_server_received_bytes_total{}", "server", "instance"),
                            "server", "instance", most=4), f"from {_SERVER}"),
                  Query(mirrored(top(rate("openvpn_server_sent_bytes_total{}", "server", "instance"),
                                  "server", "instance", most=4)), f"to {_SERVER}", "purple"),
                  source="management", unit="Bps", mirrored=True),
        ],
        "Log": [
            graph("Troubles in the log",
                  "Lines a minute that mean trouble without being a script failure; none where there is none.",
                  Query(events("openvpn_log_events_total{}", "event"), "{{event}}", "orange"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Packets dropped",
                  "Packets a minute that OpenVPN says it dropped; none where it drops none. Output saturation and mbuf "
                  "are told from verb 4 on only.",
                  Query(events("openvpn_packets_dropped_total{}", "reason"), "{{reason}}", "red"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Lines about message queues",
                  "Lines a minute of the site's own scripts that speak of a message queue, and lines that matched the "
                  "configuration's log_rules; none where there are none.",
                  Query(events("openvpn_log_message_queue_lines_total{}", "kind"), "queue {{kind}}", "orange"),
                  Query(events("openvpn_log_rule_matches_total{}", "rule"), "rule {{rule}}"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Log lines (top 4)",
                  "Lines read a minute, and lines that OpenVPN left out because of --mute. No line at all "
                  "for long: the log is silent, and so are the counters that come from it.",
                  Query(top(rate("openvpn_log_lines_total{}", "server", "instance", seconds=60),
                            "server", "instance", most=4), f"read {_SERVER}"),
                  Query(events("openvpn_log_suppressed_lines_total{}", "server", "instance", most=4),
                        f"muted {_SERVER}", "orange"),
                  source="log", unit=PER_MINUTE, most=1),
            rows(
                "Collectors",
                "Which collectors run on which host, and whether they could read all of their source at the last "
                "scrape; those that fail first. One that is not listed is not enabled.",
                {"instance": "Host", "collector": "Collector"},
                [Column("State", "max by (instance, collector) (openvpn_mq_scrape_collector_success{})",
                        texts={1: ("works", "transparent"), 0: ("fails", "semi-dark-red")}, steps=FILLED, width=90),
                 Column("Took", "max by (instance, collector) (openvpn_mq_scrape_collector_duration_seconds{})",
                        unit="s", width=100)],
                source="exporter", sort="State", ascending=True, height=10,
            ),
        ],
    },
)  # fmt: skip
