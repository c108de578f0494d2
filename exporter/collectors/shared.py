"""What two collectors export, each for other servers."""

from typing import Final

from exporter.metrics import Metric

CONNECTED_CLIENTS: Final = Metric(
    "openvpn_server_connected_clients",
    "gauge",
    "Clients that are connected: nclients of load-stats, as of the last poll and absent where that got no answer; "
    "where the server has no management address, the named clients in its status file, as old as that file's time.",
    ("server",),
)
