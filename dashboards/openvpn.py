"""The dashboard of the OpenVPN servers: scripts, connections, status updates, management interface, clients, log."""

from typing import Final

from dashboards import connections, scripts
from dashboards.board import RESTARTS, Annotation, Board, Variable
from dashboards.columns import CONFIGURED, SERVERS
from dashboards.firing import firing
from dashboards.graphs import CLOCK, PER_MINUTE, Query, graph
from dashboards.panels import BAD, GOOD, PLAIN, WARNING, ZERO_OR_BAD, ZERO_OR_WARNING, tile
from dashboards.queries import busiest, events, once, quantile, rate, top
from dashboards.tables import CALM, CLEAR, Column, address, rows

_SERVER: Final = "{{server}} @ {{instance}}"
_HOOK: Final = "{{hook}} {{server}} @ {{instance}}"
_BY: Final = ("server", "instance")
_BY_HOOK: Final = ("hook", *_BY)
_BLOCKED: Final = [(0.3, WARNING), (0.9, BAD)]
_SCRIPTS: Final = "scripts|hooks|log"
_DELAYS: Final = "openvpn_management_command_duration_seconds_bucket{}"
_RUNS: Final = "(openvpn_script_runs_total{} or openvpn_hook_runs_total{})"
"""Exists if there is a source for how often and how long scripts run."""


def _slowest(share: float) -> str:
    """Return how long that share of the scripts takes at most, by hook."""
    rates = f"sum by (le, {', '.join(_BY_HOOK)}) ({scripts.buckets()})"
    return busiest(f"histogram_quantile({share}, {rates}) >= 0", *_BY_HOOK, most=2, exists=_RUNS)


def _by_hook(expression: str, factor: int = 1) -> str:
    """Return the expression by hook and server, the eight highest."""
    return busiest(f"{factor} * sum by ({', '.join(_BY_HOOK)}) ({expression})", *_BY_HOOK, exists=_RUNS)


def _failing(expression: str) -> str:
    """Return events per minute by hook, reason and the source that saw them."""
    by = ("hook", "reason", "source")
    exists = f"({_RUNS} or openvpn_script_failures_total{{}})"
    return busiest(f"60 * sum by ({', '.join(by)}) ({expression})", *by, exists=exists)


BOARD: Final = Board(
    uid="openvpn-mq-openvpn",
    description="The OpenVPN servers: scripts that fail, are slow or hang, connections, status updates, management "
                "interface, clients, log.",
    annotations=[
        RESTARTS,
        Annotation("Configuration reloads", "purple",
                   "1000 * openvpn_mq_exporter_config_last_reload_success_timestamp_seconds{}",
                   "The exporter read its configuration", "{{instance}}", True),
        Annotation("OpenVPN restarts", "orange", "resets(openvpn_server_received_bytes_total{}[2m]) > 0",
                   "OpenVPN started anew", "{{server}} on {{instance}}"),
    ],
    variables=[
        Variable(
            "server", "Server",
            'label_values({__name__=~"openvpn_(log|hook|script|management|status)_.+",'
            'cluster=~"$cluster",job=~"$job",instance=~"$instance"}, server)',
        )
    ],
    matchers={"openvpn_(?!mq_)": 'server=~"$server"'},
    rows={
        "": [
            firing(),
            tile("Hanging scripts",
                 "Servers on which a script has been running all the time of late, without another one having "
                 "started: they serve nobody.",
                 f"sum({scripts.hanging('server')})", collectors="scripts|hooks", steps=ZERO_OR_BAD,
                 explained_by="Running scripts (top 8)"),
            tile("Blocked by scripts",
                 "Share of the last minutes for which OpenVPN waited for scripts and served nobody else; the worst "
                 "server. A script that still runs counts.",
                 f"max({scripts.blocked('server')})", collectors="scripts|hooks", unit="percentunit",
                 steps=[(None, GOOD), *_BLOCKED], explained_by="Time blocked by scripts (top 8)"),
            tile("Failure ratio",
                 "Share of the runs of the last five minutes that failed; the worst script. A refused client is no "
                 "failure.",
                 f"max({scripts.failure_ratio('5m')}) or 0 * sum({_RUNS})", collectors="scripts|hooks",
                 unit="percentunit", steps=[(None, GOOD), (0.01, WARNING), (0.25, BAD)],
                 explained_by="Script failures by hook"),
            tile("Script failures",
                 "Scripts and plugins that failed in the last five minutes, as the kernel, the hook record or the log "
                 "has them, each counted once.",
                 f"sum({scripts.failures('5m', function='increase')})", collectors=_SCRIPTS, steps=ZERO_OR_WARNING,
                 explained_by="Script failures by hook"),
            tile("Not connected",
                 "Connection attempts of the last five minutes that ended without an answer: TLS, authentication, "
                 "scripts, no address left, limits.",
                 f"""sum({once('increase(openvpn_connections_total{result!~"answered|lost"}[5m])')})""",
                 collectors="log", steps=ZERO_OR_WARNING, explained_by="Connections that fail"),
            tile("Updates dropped",
                 "Status updates of the last five minutes that openvpn-mq-hook could not put on their queue.",
                 f"sum({once('increase(openvpn_status_updates_dropped_total{}[5m])')})", collectors="hooks",
                 steps=ZERO_OR_WARNING, explained_by="Status updates (top 4 each)"),
            tile("Management down", "Servers whose management interface did not answer the last poll.",
                 f"sum({once('openvpn_management_up{} == bool 0')})", collectors="management", steps=ZERO_OR_WARNING,
                 explained_by="Management polls that failed"),
            tile("Status files bad", "Servers whose status file is stale, torn, empty, missing or unreadable.",
                 f"""sum({once('openvpn_status_state{state!="ok"}')})""", collectors="status", steps=ZERO_OR_WARNING,
                 explained_by="Age of the status file (top 8)"),
            tile("Clients connected", "Clients that are connected, of all servers.",
                 f"sum({once('openvpn_server_connected_clients{}')})", collectors="management|status", steps=PLAIN,
                 explained_by="Clients connected (top 8)"),
            rows(
                "Servers, those with problems first",
                "One row per server, those on which a script hangs first. Problems: how many there are of a "
                "management interface that does not answer, a bad status file, failed scripts, dropped updates, a "
                "hanging script. Blocked: share of the last minutes for which the server waited for scripts. Failures "
                "and drops are those of the last five minutes. Status age: time since the TIME inside the status "
                "file. verb below 1 or mute above 0: the log does not show every failure. unknown: the source is "
                "configured, and does not answer. off: it is not configured. A host leads to its queues.",
                {"server": "Server", "instance": "Host"},
                SERVERS, source="servers", sort="Problems", height=8,
                links={"Host": [("Queues of this host",
                                 address("openvpn-mq-queues", instance="${__value.raw}"))]},
            ),
        ],
        "Scripts": [
            graph("Script failures by hook",
                  "Failed scripts and plugins per minute, by hook and reason; none if none fails. Each is counted "
                  "once: as the kernel saw it, else the hook record, else the log.",
                  Query(_failing(scripts.failures()), "{{hook}} {{reason}} ({{source}})"),
                  source="failures", unit=PER_MINUTE, bars=True),
            graph("Clients refused by scripts",
                  "Clients per minute that auth-user-pass-verify, tls-verify or tls-crypt-v2-verify refused by their "
                  "exit status: a wrong password, a revoked certificate.",
                  Query(_failing(scripts.refusals()), "{{hook}} {{reason}} ({{source}})"),
                  source="failures", unit=PER_MINUTE, bars=True),
            graph("Time blocked by scripts (top 8)",
                  "Share of the time for which OpenVPN waited for scripts: as long as one runs, no packet of any "
                  "client passes. 100 %: a script hangs.",
                  Query(busiest(scripts.blocked("server, instance"), *_BY, exists=_RUNS), _SERVER),
                  source="scripts", unit="percentunit", steps=[(None, CLEAR), *_BLOCKED]),
            graph("Time in scripts by hook (top 8)",
                  "Seconds per second that scripts took, by hook; a script counts when it has ended.",
                  Query(_by_hook(scripts.time_by_hook()), _HOOK),
                  source="scripts", unit="percentunit"),
            graph("How long scripts take (top 2 each)",
                  "For 99 % and, dashed, 50 % of the scripts; the two slowest of the time range. OpenVPN serves "
                  "nobody else meanwhile.",
                  Query(_slowest(0.99), f"p99 {_HOOK}"), Query(_slowest(0.5), f"p50 {_HOOK}", "dashed"),
                  source="scripts", unit="s", sparse=True),
            graph("Scripts run (top 8)",
                  "Scripts started per minute; the eight most frequent ones of the time range.",
                  Query(_by_hook(scripts.runs(), 60), _HOOK), source="scripts", unit=PER_MINUTE),
            graph("Running scripts (top 8)",
                  "Scripts that have started and not ended; none if no scrape saw any. One that stays at 1 hangs, "
                  "and its server with it.",
                  Query(_by_hook(scripts.running()), _HOOK), source="scripts", unit="none", most=1),
            graph("Deferred verdicts (top 8)",
                  "How long scripts that deferred their answer took to give it, for 95 % of them, by hook.",
                  Query(quantile(0.95, "openvpn_hook_verdict_seconds_bucket{}", *_BY_HOOK), _HOOK),
                  source="scripts", unit="s", sparse=True),
        ],
        "Connections": connections.PANELS,
        "Status updates and management": [
            graph("Status updates (top 4 each)",
                  "Updates per minute that openvpn-mq-hook tried to put on a queue, and, dashed, those that never "
                  "reached it.",
                  Query(events("openvpn_status_updates_total{}", "queue", "instance", most=4),
                        "tried {{queue}} @ {{instance}}"),
                  Query(events("openvpn_status_updates_dropped_total{}", "reason", "queue", most=4),
                        "dropped {{reason}} {{queue}}", "dashed"),
                  source="updates", unit=PER_MINUTE, most=1),
            graph("Management command delay (top 4)",
                  "From sending load-stats to its reply, for 99 % of the polls, and, dashed, the age of a command that "
                  "still waits for its reply; the four slowest servers of the time range.",
                  Query(quantile(0.99, _DELAYS, *_BY, most=4), f"p99 {_SERVER}"),
                  Query(busiest("max by (server, instance) (openvpn_management_command_pending_seconds{})", *_BY,
                                most=4), f"pending {_SERVER}", "dashed"),
                  source="management", unit="s", sparse=True),
            graph("Management polls that failed",
                  "Polls per minute without a proper answer; none if all are answered. busy: somebody else holds the "
                  "socket.",
                  Query(events("openvpn_management_command_failures_total{}", "reason"), "{{reason}}"),
                  source="management", unit=PER_MINUTE, bars=True),
            graph("Age of the status file (top 8)",
                  "Time since the TIME inside the file. A saw-tooth as high as the interval of --status is healthy.",
                  Query(top("time() - max by (server, instance) (openvpn_status_update_time_seconds{})", *_BY),
                        _SERVER),
                  source="status", unit=CLOCK),
        ],
        "Clients": [
            graph("Clients connected (top 8)",
                  "From the management interface, or from the status file if there is none.",
                  Query(top("max by (server, instance) (openvpn_server_connected_clients{})", *_BY), _SERVER),
                  source="clients", unit="none"),
            graph("Traffic (top 4)", "Bytes per second from clients (up) and to clients (down), as load-stats counts "
                  "them; the four busiest servers.",
                  Query(top(rate("openvpn_server_received_bytes_total{}", *_BY), *_BY, most=4), f"from {_SERVER}"),
                  Query(top(rate("openvpn_server_sent_bytes_total{}", *_BY), *_BY, most=4), f"to {_SERVER}", "below"),
                  source="management", unit="Bps"),
            rows(
                "Limits and certificates",
                "What each server's configuration says: the most clients at once, the addresses in its pool, and the "
                "time until its CA, its certificate and its revocation list end. After the end of any of the three, "
                "nobody can connect. -: not in the configuration, or the file cannot be read.",
                {"server": "Server", "instance": "Host"},
                CONFIGURED, source="configured", sort="CRL ends in", ascending=True, height=7, nothing="-",
            ),
        ],
        "Log": [
            graph("Problems in the log",
                  "Lines per minute that mean trouble without being a script failure; none if there is none.",
                  Query(events("openvpn_log_events_total{}", "event"), "{{event}}"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Packets dropped",
                  "Packets per minute that OpenVPN says it dropped; none if it drops none. Output saturation and mbuf "
                  "are told from verb 4 on only.",
                  Query(events("openvpn_packets_dropped_total{}", "reason"), "{{reason}}"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Lines about message queues",
                  "Lines per minute of the site's own scripts that speak of a message queue, and lines that matched "
                  "the configuration's log_rules; none if there are none.",
                  Query(events("openvpn_log_message_queue_lines_total{}", "kind"), "queue {{kind}}"),
                  Query(events("openvpn_log_rule_matches_total{}", "rule"), "rule {{rule}}"),
                  source="log", unit=PER_MINUTE, bars=True),
            graph("Log lines (top 4)",
                  "Lines read per minute, and, dashed, lines that OpenVPN left out because of --mute. No line at all "
                  "for long: the log is silent, and so are the counters that come from it.",
                  Query(top(rate("openvpn_log_lines_total{}", *_BY, seconds=60), *_BY, most=4), f"read {_SERVER}"),
                  Query(events("openvpn_log_suppressed_lines_total{}", *_BY, most=4), f"muted {_SERVER}", "dashed"),
                  source="log", unit=PER_MINUTE, most=1),
            rows(
                "Collectors",
                "Which collectors run on which host, and whether they could read all of their source at the last "
                "scrape; those that fail first. One that is not listed is off.",
                {"instance": "Host", "collector": "Collector"},
                [Column("State", "max by (instance, collector) (openvpn_mq_scrape_collector_success{})",
                        texts={1: ("works", CLEAR), 0: ("fails", WARNING)}, steps=CALM, width=90),
                 Column("Duration", "max by (instance, collector) (openvpn_mq_scrape_collector_duration_seconds{})",
                        unit="s", width=100)],
                source="exporter", sort="State", ascending=True, height=10,
            ),
        ],
    },
)  # fmt: skip
