"""The panels about connection attempts: how far they get, where they fail, what they wait for."""

from typing import Final

from dashboards.board import Panels
from dashboards.graphs import PER_MINUTE, Query, funnel, graph
from dashboards.queries import busiest, events, once, quantile, rate, top

_SERVER: Final = "{{server}} @ {{instance}}"
_BY: Final = ("server", "instance")
_PHASES: Final = "openvpn_connection_phase_seconds"


def _ended(results: str) -> str:
    """Return how many attempts of the time range ended so; results as a regular expression."""
    return f'sum({once(f"""increase(openvpn_connections_total{{result=~"{results}"}}[$__range])""")})'


FUNNEL: Final = {
    "started": _ended(".+"),
    "TLS done": _ended("answered|auth_failed|pool_exhausted|script_failed|limit"),
    "authenticated": _ended("answered|pool_exhausted|script_failed|limit"),
    "address given": _ended("answered|script_failed"),
    "answered": _ended("answered"),
}
"""How many got as far. Lost ones, of which the end is not known, are among the started alone."""

PANELS: Final[Panels] = [
    funnel("Connections, from started to answered",
           "How many connection attempts of the time range got as far: all that ended; TLS handshake done; user and "
           "certificate accepted; address from the pool given; scripts done and push reply sent. What the log loses "
           "sight of counts as started alone.",
           FUNNEL, source="connections", width=8),
    graph("Connections that fail",
          "Connection attempts per minute that ended without an answer, by how they ended; none if none did. lost: "
          "the log does not tell how.",
          Query(busiest(rate('openvpn_connections_total{result!="answered"}', "result", seconds=60), "result"),
                "{{result}}"),
          source="connections", unit=PER_MINUTE, bars=True, width=8),
    graph("Connections in progress (top 8)",
          "Attempts that have started and are neither answered nor ended.",
          Query(top("max by (server, instance) (openvpn_connections_in_progress{})", *_BY), _SERVER),
          source="connections", unit="none", most=1, width=8),
    graph("Connection set-up time (top 4)",
          "From the first line of the log to the push reply, for 95 % and, dashed, for half of the connections; the "
          "four slowest servers.",
          Query(quantile(0.95, "openvpn_connection_setup_seconds_bucket{}", *_BY, most=4), f"p95 {_SERVER}"),
          Query(quantile(0.5, "openvpn_connection_setup_seconds_bucket{}", *_BY, most=4), f"p50 {_SERVER}", "dashed"),
          source="connections", unit="s", sparse=True),
    graph("Set-up time by phase, p95",
          "How long each phase takes, for 95 % of the connections: tls, from the first packet to checked "
          "certificates; auth, to accepted user and password; script, from the address given to learned "
          "(client-connect, learn-address); push, to the push reply. A phase without lines in the log is absent.",
          Query(quantile(0.95, f"{_PHASES}_bucket{{}}", "phase"), "{{phase}}"),
          source="connections", unit="s", sparse=True),
    graph("Waiting time of clients, by phase",
          "Seconds that clients together spent in each phase, per second: time lost to scripts (auth, script) beside "
          "time lost to TLS.",
          Query(busiest(rate(f"{_PHASES}_sum{{}}", "phase"), "phase"), "{{phase}}"),
          source="connections", unit="s", stacked=True, width=8),
    graph("Disconnects by reason",
          "Connections that ended per minute, by the reason that the log gives; none if none did.",
          Query(events("openvpn_disconnects_total{}", "reason"), "{{reason}}"),
          source="connections", unit=PER_MINUTE, bars=True, width=8),
    graph("Refused certificates",
          "Certificates per minute that OpenVPN refused, by reason; none if none was.",
          Query(events("openvpn_verify_errors_total{}", "reason"), "{{reason}}"),
          source="connections", unit=PER_MINUTE, bars=True, width=8),
    graph("Clients by version (top 8)",
          "Connected clients by OpenVPN version and platform, as they tell them when they connect.",
          Query(top("sum by (version, platform, instance) "
                    f"({once('openvpn_client_versions{}')})", "version", "platform", "instance"),
                "{{version}} {{platform}} @ {{instance}}"),
          source="connections", unit="none"),
    graph("Scripts and TLS (top 4 each)",
          "Seconds per second that clients spend waiting for scripts (phases auth and script) and, dashed, for TLS; "
          "the four servers where it was most.",
          Query(top(rate(f'{_PHASES}_sum{{phase=~"auth|script"}}', *_BY), *_BY, most=4), f"scripts {_SERVER}"),
          Query(top(rate(f'{_PHASES}_sum{{phase="tls"}}', *_BY), *_BY, most=4), f"TLS {_SERVER}", "dashed"),
          source="connections", unit="s"),
]  # fmt: skip
