"""The dashboard of all hosts: which of them has problems, and which.

It reads what the recording rules keep per host (recording.yml, group openvpn-mq-recorded-hosts) and metrics of which a
host has a few series, so that it answers for a thousand hosts.
"""

from typing import Final

from dashboards import hosts
from dashboards.board import RESTARTS, Board
from dashboards.firing import firing
from dashboards.graphs import Query, graph
from dashboards.panels import BAD, FILLING, FILLING_PERCENT, PLAIN, WARNING, ZERO_OR_BAD, ZERO_OR_WARNING, tile
from dashboards.queries import FILL, HOST, MAX_LINES, busiest, once, top
from dashboards.tables import CELL_WARNING, CLEAR, Column, address, rows

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
                 hosts.total(hosts.HANGING, "scripts|hooks"), collectors="scripts|hooks", steps=ZERO_OR_BAD,
                 explained_by="Time blocked by scripts, by host (top 8)"),
            tile("Blocked senders",
                 "Threads asleep in msgsnd right now because their queue is full. A client script that sleeps here "
                 "holds up every other client of its OpenVPN server.",
                 f"sum({once(hosts.SENDERS)})", collectors="waiters", steps=ZERO_OR_BAD,
                 explained_by="Hosts, those with problems first"),
            tile("Fullest queue",
                 "The largest fill of all queues: the larger of bytes and messages, over the queue's own limit.",
                 f"max({hosts.HOST_FILL})", collectors="queues", unit="percentunit", steps=FILLING,
                 explained_by="Fullest queues (top 8)"),
            tile("Script failures",
                 "Scripts and plugins that failed in the last ten minutes, as the kernel, the hook record or the log "
                 "has them. A refused client is no failure.",
                 hosts.total(hosts.FAILED, hosts.SCRIPTS), collectors=hosts.SCRIPTS, steps=ZERO_OR_WARNING,
                 explained_by="Script failures by host (top 8)"),
            tile("Updates dropped",
                 "Status updates of the last ten minutes that never reached their queue, as openvpn-mq-hook or the "
                 "site's scripts report them.",
                 hosts.total(hosts.DROPPED, hosts.UPDATES), collectors=hosts.UPDATES, steps=ZERO_OR_WARNING,
                 explained_by="Status updates dropped, by host (top 8)"),
            tile("Not connected",
                 "Connection attempts of the last ten minutes that ended without an answer: TLS, authentication, "
                 "scripts, no address left, limits.",
                 f"sum({once(hosts.UNANSWERED)})", collectors="log", steps=ZERO_OR_WARNING,
                 explained_by="Connections by result"),
            tile("Failing collectors",
                 "Collectors that could not read all of their source at the last scrape: their numbers are missing "
                 "or incomplete. The exporter's log says why.",
                 f"sum({once(hosts.FAILING_COLLECTORS)})", collectors=".+", steps=ZERO_OR_WARNING,
                 explained_by="Hosts, those with problems first"),
            tile("Clients connected", "Clients that are connected, of all servers.",
                 f"sum({once('openvpn_server_connected_clients{}')})", collectors=hosts.CLIENTS, steps=PLAIN,
                 explained_by="Clients connected (top 8)"),
            rows(
                "Hosts, those with problems first",
                "One row per host, those that are down first, then those on which a script hangs, then those with a "
                "full queue. Problems: how many kinds of problem it has. Blocked: share of the last five minutes for "
                "which the worst OpenVPN server waited for scripts. In the last ten minutes: Scripts, those that "
                "failed; Dropped, status updates that never reached their queue; Refused, sends that failed with "
                "EAGAIN; Connections, attempts that ended without an answer. Senders: threads asleep in msgsnd. Fill: "
                "of the fullest queue. Management: interfaces that do not answer. Status: files that are stale or "
                "unreadable. unknown: the collector runs, and has no number, or the host is down. off: the collector "
                "is off. A host leads to its queues, Clients to its OpenVPN servers.",
                {"instance": "Host", "cluster": "Cluster"},
                hosts.HOSTS,
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
                  Query(busiest(f"max by (instance, cluster) ({hosts.BLOCKED})", *hosts.BY), hosts.LEGEND),
                  source="scripts", unit="percentunit", steps=[(None, CLEAR), (0.3, WARNING), (0.9, BAD)]),
            graph("Script failures by host (top 8)",
                  "Scripts and plugins that failed in the ten minutes before, as the kernel, the hook record or the "
                  "log has them; none if none failed.",
                  Query(hosts.by_host(hosts.FAILED, hosts.SCRIPTS), hosts.LEGEND),
                  source="failures", unit="none", most=1),
            graph("Connections by result",
                  "How connection attempts of the ten minutes before ended, on all hosts together.",
                  Query(busiest(f"sum by (result) ({once(f'{hosts.ENDED}{{}}')})", "result"), "{{result}}"),
                  source="connections", unit="none", most=1),
            graph("Clients connected (top 8)",
                  "Clients of all OpenVPN servers of a host; the eight hosts with the most in the time range.",
                  Query(top(f"sum by (instance, cluster) ({once('openvpn_server_connected_clients{}')})", *hosts.BY),
                        hosts.LEGEND),
                  source="clients", unit="none"),
            rows(
                "Scripts that fail (top 8)",
                "Which scripts failed where in the last ten minutes; the eight with the most failures. A host leads "
                "to its OpenVPN servers.",
                {"instance": "Host", "cluster": "Cluster", "server": "Server", "hook": "Hook"},
                [Column("Failures", hosts.WORST_SCRIPTS, steps=CELL_WARNING, decimals=0, width=90)],
                source="failures", sort="Failures", height=9, width=12, nothing="",
                links={"Host": [("OpenVPN on this host",
                                 address("openvpn-mq-openvpn", instance="${__value.raw}"))]},
            ),
            graph("Status updates dropped, by host (top 8)",
                  "Status updates of the ten minutes before that never reached their queue; none if none was dropped.",
                  Query(hosts.by_host(hosts.DROPPED, hosts.UPDATES), hosts.LEGEND),
                  source="updates", unit="none", most=1),
        ],
        "Queues": [
            rows(
                "Fullest queues (top 8)",
                "The eight queues closest to their limit right now, of all hosts. A queue leads to itself alone, its "
                "host to all its queues.",
                {"queue": "Queue", "instance": "Host", "cluster": "Cluster"},
                [Column("Fill", f"topk({MAX_LINES}, max by (cluster, instance, queue) ({FILL}))",
                        unit="percentunit", steps=FILLING, gauge=True, decimals=0, width=180)],
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
                  Query(top(f"100 * max by (instance, cluster) ({hosts.HOST_FILL})", *hosts.BY), hosts.LEGEND),
                  source="queues", unit="percent", steps=FILLING_PERCENT, most=100),
            graph("Messages waiting (top 8)",
                  "All messages in all queues of a host, those without series of their own too; the eight hosts with "
                  "the most in the time range.",
                  Query(top("max by (instance, cluster) (sysv_msg_messages{})", *hosts.BY), hosts.LEGEND),
                  source="queues", unit="none"),
            graph("Sends refused (EAGAIN), by host (top 8)",
                  "Messages of the ten minutes before that non-blocking senders lost because the queue was full, "
                  "counted in the kernel; none if none was refused.",
                  Query(hosts.by_host(hosts.REFUSED, "trace"), hosts.LEGEND), source="trace", unit="none", most=1),
        ],
        "Exporters": [
            graph("Scrape duration (top 8)",
                  "The time that all collectors of an exporter together took for a scrape; the eight slowest of the "
                  "time range.",
                  Query(top(f"sum by (instance, cluster) "
                            f"({once('openvpn_mq_scrape_collector_duration_seconds{}')})", *hosts.BY), hosts.LEGEND),
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
