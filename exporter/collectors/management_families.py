"""The metrics of the collector `management` that come from what the last poll of each server learned."""

from collections.abc import Mapping
from typing import Final

from exporter.collectors.base import CONNECTED_CLIENTS, Families
from exporter.exposition.families import Kind, Metric
from exporter.probes.poller import Poller, ServerState


def _metric(name: str, kind: Kind, help_text: str, *labels: str) -> Metric:
    return Metric(name, kind, help_text, ("server", *labels))


PENDING: Final = _metric(
    "openvpn_management_command_pending_seconds",
    "gauge",
    "Age of the poll that is waiting for the management interface now; 0 if there is none.",
)
UP: Final = _metric(
    "openvpn_management_up", "gauge", "1 if the last poll of the management interface was answered, else 0."
)
LAST_REPLY: Final = _metric(
    "openvpn_management_last_reply_timestamp_seconds",
    "gauge",
    "Time of the last reply to load-stats; absent before the first.",
)
RECEIVED: Final = _metric(
    "openvpn_server_received_bytes_total", "counter", "bytesin of load-stats; absent if the last poll got no answer."
)
SENT: Final = _metric(
    "openvpn_server_sent_bytes_total", "counter", "bytesout of load-stats; absent if the last poll got no answer."
)
INFO: Final = _metric(
    "openvpn_server_info", "gauge", "OpenVPN's version, from the management command version; always 1.", "version"
)
VERBOSITY: Final = _metric(
    "openvpn_log_verbosity", "gauge", "--verb, from the management command verb, asked every five minutes."
)
MUTE: Final = _metric(
    "openvpn_log_mute",
    "gauge",
    "--mute, from the management command mute, asked every five minutes; 0 = no line is left out of the log.",
)
CLIENT_RECEIVED: Final = _metric(
    "openvpn_server_client_received_bytes_total",
    "counter",
    "Bytes Received of CLIENT_LIST in status 3 since the exporter's first poll, summed over the connections of the "
    "common name, ended ones too. What a connection moved between its last poll and its end is missing.",
    "common_name",
)
CLIENT_SENT: Final = _metric(
    "openvpn_server_client_sent_bytes_total",
    "counter",
    "Bytes Sent of CLIENT_LIST in status 3 since the exporter's first poll, summed over the connections of the "
    "common name, ended ones too. What a connection moved between its last poll and its end is missing.",
    "common_name",
)
CLIENT_CONNECTIONS: Final = _metric(
    "openvpn_server_client_connections",
    "gauge",
    "Connections of the common name in CLIENT_LIST of status 3, as of the last poll; absent if that got no answer.",
    "common_name",
)
NAMES_OMITTED: Final = _metric(
    "openvpn_server_client_names_omitted",
    "gauge",
    "Common names in CLIENT_LIST of status 3 that have no series of their own, because max_clients other names have; "
    "they share the series with an empty common_name. As of the last poll; absent if that got no answer.",
)


def families(pollers: Mapping[str, Poller], *, once: bool) -> Families:
    """Yield what is known of each server, by name; `once`: without what takes a process that lives between scrapes."""
    if not once:
        yield PENDING.by_label({name: poller.pending() for name, poller in pollers.items()})
    states = {name: state for name, poller in pollers.items() if (state := poller.state)}
    stats = {name: state.stats for name, state in states.items() if state.stats}
    versions = {name: state.version for name, state in states.items() if state.version}
    yield UP.by_label({name: int(state.up) for name, state in states.items()})
    yield LAST_REPLY.by_label({name: poller.last_reply for name, poller in pollers.items()})
    yield CONNECTED_CLIENTS.by_label({name: each.clients for name, each in stats.items()})
    yield RECEIVED.by_label({name: each.received for name, each in stats.items()})
    yield SENT.by_label({name: each.sent for name, each in stats.items()})
    yield INFO.family([1] * len(versions), list(versions), list(versions.values()))
    yield VERBOSITY.by_label({name: state.verb for name, state in states.items()})
    yield MUTE.by_label({name: state.mute for name, state in states.items()})
    yield from _clients(states, once=once)


def _clients(states: Mapping[str, ServerState], *, once: bool) -> Families:
    rows = [(server, row) for server, state in states.items() for row in state.clients]
    servers, names = [server for server, _ in rows], [row.name for _, row in rows]
    if not once:  # sums, also over connections that have ended
        yield CLIENT_RECEIVED.family([row.received for _, row in rows], servers, names)
        yield CLIENT_SENT.family([row.sent for _, row in rows], servers, names)
    now = [(server, row) for server, row in rows if states[server].up]
    servers, names = [server for server, _ in now], [row.name for _, row in now]
    yield CLIENT_CONNECTIONS.family([row.connections for _, row in now], servers, names)
    yield NAMES_OMITTED.by_label({name: state.omitted for name, state in states.items() if state.up})
