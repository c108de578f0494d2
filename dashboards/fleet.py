"""The dashboard of all hosts: which of them has problems, and which.

It reads what the recording rules keep per host (recording.yml, group openvpn-mq-recorded-hosts) and metrics of which a
host has a few series, so that it answers for a thousand hosts.
"""

from typing import Final

from dashboards.board import RESTARTS, Board
from dashboards.columns import HANGS
from dashboards.firing import firing
from dashboards.graphs import Query, graph
from dashboards.panels import BAD, FILLING, FILLING_PERCENT, WARNING, ZERO_OR_BAD, ZERO_OR_WARNING, tile
from dashboards.queries import HOST, MAX_LINES, NOT_KNOWN, busiest, count_kinds, once, top, worst
from dashboards.tables import CELL_BAD, CELL_WARNING, CLEAR, Column, address, rows

DOWN: Final = 100
"""Added to the number of problems of a host that is down, so that it sorts first; larger than any count."""

_IS_RECORDED: Final = "instance:openvpn_mq_collectors_failing:count{}"
"""There for every host that is up, if the recording rules are loaded."""

_BY: Final = ("instance", "cluster")
_HOST: Final = "{{instance}} {{cluster}}"
_FILL: Final = "instance_queue:sysv_msg_queue_fill:ratio{}"
_HOST_FILL: Final = "sysv_msg_queue_max_fill_ratio{}"
_HANGING: Final = "instance_server:openvpn_scripts_hanging:count{}"
_BLOCKED: Final = "instance_server:openvpn_blocked_by_scripts:ratio_rate5m{}"
_FAILED: Final = "instance_server_hook:openvpn_scripts_failed:increase10m{}"
_DROPPED: Final = "instance:openvpn_status_updates_dropped:increase10m{}"
_REFUSED: Final = "instance:sysv_msg_queue_sends_refused:increase10m{}"
_SENDERS: Final = "instance:sysv_msg_queue_blocked_senders:sum{}"
_ENDED: Final = "instance_result:openvpn_connections:increase10m"
_UNANSWERED: Final = f'{_ENDED}{{result!~"answered|lost"}}'
_SILENT: Final = "openvpn_management_up{} == bool 0"
_BAD_STATUS: Final = 'openvpn_status_state{state!="ok"}'

_SCRIPTS: Final = "scripts|hooks|log"
_UPDATES: Final = "hooks|log"
_CLIENTS: Final = "management|status"


def _collects(collectors: str) -> str:
    return f'openvpn_mq_scrape_collector_success{{collector=~"{collectors}"}}'


def _total(recorded: str, collectors: str) -> str:
    """Return the sum of what is recorded only where something happens; 0 where nothing does."""
    return f"sum({once(recorded)}) or 0 * (group({_IS_RECORDED}) and group({_collects(collectors)}))"


def _cell(expression: str, collectors: str, *, zero: bool = False) -> str:
    """Return a column's query: the expression per host, and that it is not known of the hosts that ought to have it.

    `zero`: the expression has series only where something happens.
    """
    runs = f"max by ({HOST}) ({_collects(collectors)})"
    parts = [expression]
    if zero:
        parts.append(f"0 * max by ({HOST}) ({_IS_RECORDED}) and on ({HOST}) {runs}")
    parts += [f"{NOT_KNOWN} + 0 * {runs}", f"{NOT_KNOWN} + max by ({HOST}) (up{{}} == 0)"]
    return " or ".join(parts)


def _sum(expression: str) -> str:
    return f"sum by ({HOST}) ({once(expression)})"


_IS_DOWN: Final = f"max by ({HOST}) (up{{}} == bool 0)"
_KINDS: Final = [
    "up{} == bool 0", _IS_RECORDED, _HANGING, f"{_BLOCKED} > bool 0.3", _FAILED, _DROPPED, _REFUSED, _SENDERS,
    f"{_HOST_FILL} > bool 0.8", _UNANSWERED, _SILENT, _BAD_STATUS,
]  # fmt: skip
_PROBLEMS: Final = f"{count_kinds(_KINDS, HOST)} + {DOWN} * {_IS_DOWN}"

_HOSTS: Final = [
    Column("Problems", f"{_PROBLEMS} + on ({HOST}) {HANGS} * (sum by ({HOST}) ({_HANGING}) > bool 0) or {_PROBLEMS}",
           steps=[(None, CLEAR), (1, WARNING)],
           beyond=[(DOWN, "down", BAD), (HANGS, "hanging", BAD)], width=80),
    Column("Hanging", _cell(_sum(_HANGING), "scripts|hooks", zero=True), steps=CELL_BAD, width=75),
    Column("Blocked", _cell(f"max by ({HOST}) ({_BLOCKED})", "scripts|hooks"), unit="percentunit", decimals=0,
           steps=[(None, CLEAR), (0.3, WARNING), (0.9, BAD)], width=75),
    Column("Scripts", _cell(_sum(_FAILED), _SCRIPTS, zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Dropped", _cell(_sum(_DROPPED), _UPDATES, zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Refused", _cell(_sum(_REFUSED), "trace", zero=True), steps=CELL_WARNING, decimals=0, width=75),
    Column("Senders", _cell(f"max by ({HOST}) ({_SENDERS})", "waiters"), steps=CELL_BAD, width=75),
    Column("Fill", _cell(f"max by ({HOST}) ({_HOST_FILL})", "queues"), unit="percentunit", steps=FILLING,
           gauge=True, decimals=0, width=100),
    Column("Connections", _cell(_sum(_UNANSWERED), "log"), steps=CELL_WARNING, decimals=0, width=95),
    Column("Management", _cell(_sum(_SILENT), "management"), steps=CELL_WARNING, width=100),
    Column("Status", _cell(_sum(_BAD_STATUS), "status"), steps=CELL_WARNING, width=70),
    Column("Collectors", _cell(f"max by ({HOST}) ({_IS_RECORDED})", ".+"), steps=CELL_WARNING, width=85),
    Column("Clients", _cell(_sum("openvpn_server_connected_clients{}"), _CLIENTS), width=75),
]  # fmt: skip


def _counted(collectors: str) -> str:
    """Return what exists for hosts where one of the collectors counts."""
    return f"({_IS_RECORDED} and on (cluster, job, instance) {_collects(collectors)})"


def _by_host(recorded: str, collectors: str) -> str:
    expression = f"sum by ({', '.join(_BY)}) ({once(recorded)})"
    return busiest(expression, *_BY, exists=_counted(collectors))


_WORST_SCRIPTS: Final = worst(
    f"sum by (cluster, instance, server, hook) ({once(_FAILED)})", "hook", exists=_counted(_SCRIPTS)
)

BOARD: Final = Board(
    uid="openvpn-mq-fleet",
    description="All hosts with openvpn-mq-exporter: hosts with problems first, hanging scripts, full queues, lost "
                "status updates, failed connections.",
    refresh="1m",
    interval="1m",
    annotations=[RESTARTS],
    rows={
        "": [
            firing(),
            tile("Hosts down", "Hosts whose exporter Prometheus cannot scrape (up is 0).",
                 "sum(max without (prometheus, prometheus_replica, replica) (up{} == bool 0))", collectors=".+",
                 steps=ZERO_OR_BAD, explained_by="Hosts, those with problems first"),
            tile("Hanging scripts",
                 "Scripts that have been running for two minutes or more: their OpenVPN server serves nobody.",
                 _total(_HANGING, "scripts|hooks"), collectors="scripts|hooks", steps=ZERO_OR_BAD,
                 explained_by="Time blocked by scripts, by host (top 8)"),
            tile("Blocked senders",
                 "Threads asleep in msgsnd right now because their queue is full. A client script that sleeps here "
                 "holds up every other client of its OpenVPN server.",
                 f"sum({once(_SENDERS)})", collectors="waiters", steps=ZERO_OR_BAD,
                 explained_by="Hosts, those with problems first"),
            tile("Fullest queue",
                 "The largest fill of all queues: the larger of bytes and messages, over the queue's own limit.",
                 f"max({_HOST_FILL})", collectors="queues", unit="percentunit", steps=FILLING,
                 explained_by="Fullest queues (top 8)"),
            tile("Script failures",
                 "Scripts and plugins that failed in the last ten minutes, as the kernel, the hook record or the log "
                 "has them. A refused client is no failure.",
                 _total(_FAILED, _SCRIPTS), collectors=_SCRIPTS, steps=ZERO_OR_WARNING,
                 explained_by="Script failures by host (top 8)"),
            tile("Updates dropped",
                 "Status updates of the last ten minutes that never reached their queue, as openvpn-mq-hook or the "
                 "site's scripts report them.",
                 _total(_DROPPED, _UPDATES), collectors=_UPDATES, steps=ZERO_OR_WARNING,
                 explained_by="Status updates dropped, by host (top 8)"),
            tile("Not connected",
                 "Connection attempts of the last ten minutes that ended without an answer: TLS, authentication, "
                 "scripts, no address left, limits.",
                 f"sum({once(_UNANSWERED)})", collectors="log", steps=ZERO_OR_WARNING,
                 explained_by="Connections by result"),
            tile("Failing collectors",
                 "Collectors that could not read all of their source at the last scrape: their numbers are missing "
                 "or incomplete. The exporter's log says why.",
                 f"sum({once(_IS_RECORDED)})", collectors=".+", steps=ZERO_OR_WARNING,
                 explained_by="Hosts, those with problems first"),
            rows(
                "Hosts, those with problems first",
                "One row per host, those that are down first, then those on which a script hangs. Problems: how many "
                "kinds of problem it has. Blocked: share of the last five minutes for which the worst OpenVPN server "
                "waited for scripts. In the last ten minutes: Scripts, those that failed; Dropped, status updates that "
                "never reached their queue; Refused, sends that failed with EAGAIN; Connections, attempts that ended "
                "without an answer. Senders: threads asleep in msgsnd. Fill: of the fullest queue. Management: "
                "interfaces that do not answer. Status: files that are stale or unreadable. unknown: the collector "
                "runs, and has no number, or the host is down. off: the collector is off. A host leads to its queues, "
                "Clients to its OpenVPN servers.",
                {"instance": "Host", "cluster": "Cluster"},
                _HOSTS,
                source="fleet",
                sort="Problems",
                height=11,
                links={
                    "Host": [("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}"))],
                    "Clients": [("OpenVPN on this host",
                                 address("openvpn-mq-openvpn", instance="${__data.fields.Host}"))],
                    "Hanging": [("OpenVPN on this host",
                                 address("openvpn-mq-openvpn", instance="${__data.fields.Host}"))],
                },
            ),
        ],
        "OpenVPN": [
            graph("Time blocked by scripts, by host (top 8)",
                  "Share of the time for which an OpenVPN server of the host waited for scripts and served nobody; its "
                  "worst server. 100 %: a script hangs.",
                  Query(busiest(f"max by (instance, cluster) ({_BLOCKED})", *_BY), _HOST),
                  source="scripts", unit="percentunit", steps=[(None, CLEAR), (0.3, WARNING), (0.9, BAD)]),
            graph("Script failures by host (top 8)",
                  "Scripts and plugins that failed in the ten minutes before, as the kernel, the hook record or the "
                  "log has them; none if none failed.",
                  Query(_by_host(_FAILED, _SCRIPTS), _HOST), source="failures", unit="none", most=1),
            graph("Connections by result",
                  "How connection attempts of the ten minutes before ended, on all hosts together.",
                  Query(busiest(f"sum by (result) ({once(f'{_ENDED}{{}}')})", "result"), "{{result}}"),
                  source="connections", unit="none", most=1),
            graph("Clients connected (top 8)",
                  "Clients of all OpenVPN servers of a host; the eight hosts with the most in the time range.",
                  Query(top(f"sum by (instance, cluster) ({once('openvpn_server_connected_clients{}')})", *_BY), _HOST),
                  source="clients", unit="none"),
            rows(
                "Scripts that fail (top 8)",
                "Which scripts failed where in the last ten minutes; the eight with the most failures. A host leads "
                "to its OpenVPN servers.",
                {"instance": "Host", "cluster": "Cluster", "server": "Server", "hook": "Hook"},
                [Column("Failures", _WORST_SCRIPTS, steps=CELL_WARNING, decimals=0, width=90)],
                source="failures", sort="Failures", height=9, width=12, nothing="",
                links={"Host": [("OpenVPN on this host",
                                 address("openvpn-mq-openvpn", instance="${__value.raw}"))]},
            ),
            graph("Status updates dropped, by host (top 8)",
                  "Status updates of the ten minutes before that never reached their queue; none if none was dropped.",
                  Query(_by_host(_DROPPED, _UPDATES), _HOST), source="updates", unit="none", most=1),
        ],
        "Queues": [
            rows(
                "Fullest queues (top 8)",
                "The eight queues closest to their limit right now, of all hosts. A queue leads to itself alone, its "
                "host to all its queues.",
                {"queue": "Queue", "instance": "Host", "cluster": "Cluster"},
                [Column("Fill", f"topk({MAX_LINES}, max by (cluster, instance, queue) ({_FILL}))", unit="percentunit",
                        steps=FILLING, gauge=True, decimals=0, width=180)],
                source="fleet", sort="Fill", height=9, width=12,
                links={
                    "Queue": [("This queue alone",
                               address("openvpn-mq-queues", instance="${__data.fields.Host}",
                                       queue="${__value.raw}"))],
                    "Host": [("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}"))],
                },
            ),
            graph("Fullest queue by host (top 8)",
                  "The largest fill of all queues of a host; the eight hosts where it was highest in the time range.",
                  Query(top(f"100 * max by (instance, cluster) ({_HOST_FILL})", *_BY), _HOST),
                  source="queues", unit="percent", steps=FILLING_PERCENT, most=100),
            graph("Messages waiting (top 8)",
                  "All messages in all queues of a host, those without series of their own too; the eight hosts with "
                  "the most in the time range.",
                  Query(top("max by (instance, cluster) (sysv_msg_messages{})", *_BY), _HOST),
                  source="queues", unit="none"),
            graph("Sends refused (EAGAIN), by host (top 8)",
                  "Messages of the ten minutes before that non-blocking senders lost because the queue was full, "
                  "counted in the kernel; none if none was refused.",
                  Query(_by_host(_REFUSED, "trace"), _HOST), source="trace", unit="none", most=1),
        ],
        "Exporters": [
            graph("Scrape duration (top 8)",
                  "The time that all collectors of an exporter together took for a scrape; the eight slowest of the "
                  "time range.",
                  Query(top(f"sum by (instance, cluster) "
                            f"({once('openvpn_mq_scrape_collector_duration_seconds{}')})", *_BY), _HOST),
                  source="exporter", unit="s"),
            rows(
                "Versions",
                "Which exporter runs where since when, and how many queues it sees. Omitted: queues without series of "
                "their own, left out by --collector.queues.include, exclude or max-series; the totals count them.",
                {"instance": "Host", "cluster": "Cluster", "version": "Version"},
                [Column("Running since",
                        "1000 * max by (cluster, instance, version) (openvpn_mq_exporter_build_info{} "
                        "* on (cluster, job, instance) group_left () "
                        "max by (cluster, job, instance) (process_start_time_seconds{}))",
                        unit="dateTimeFromNow", width=130),
                 Column("Queues", f"max by ({HOST}) (sysv_msg_queues{{}})", width=80),
                 Column("Omitted", f"sum by ({HOST}) ({once('sysv_msg_queues_omitted{}')})",
                        steps=CELL_WARNING, width=85)],
                source="exporter", sort="Running since", height=9, width=12,
            ),
        ],
    },
)  # fmt: skip
