"""What the collector `hooks` exports beside what runs now."""

from typing import Final

from exporter.exposition.families import Metric

RUNS: Final = Metric(
    "openvpn_hook_runs_total",
    "counter",
    "Scripts started, from the lines that openvpn-mq-hook writes to its record before each.",
    ("server", "hook"),
)
FAILURES: Final = Metric(
    "openvpn_hook_failures_total",
    "counter",
    "Scripts that ended badly, from the result in the record of openvpn-mq-hook; signal also if the hook itself was "
    "killed, so that its process is gone and the record has no end.",
    ("server", "hook", "reason"),
)
DURATION: Final = Metric(
    "openvpn_hook_duration_seconds",
    "histogram",
    "From start to end of the script, as openvpn-mq-hook measured it; OpenVPN served nobody else meanwhile.",
    ("server", "hook"),
)
VERDICT: Final = Metric(
    "openvpn_hook_verdict_seconds",
    "histogram",
    "Deferred answers: from start of the script to its verdict in OpenVPN's control file, as openvpn-mq-hook saw it.",
    ("server", "hook"),
)
VERDICT_RESULTS: Final = Metric(
    "openvpn_hook_verdicts_total",
    "counter",
    "Deferred answers by verdict in OpenVPN's control file, as openvpn-mq-hook saw it; undecided: OpenVPN removed the "
    "file without one.",
    ("server", "hook", "result"),
)
UPDATES: Final = Metric(
    "openvpn_status_updates_total",
    "counter",
    "Status updates that openvpn-mq-hook tried to put on the queue, from its record.",
    ("server", "queue"),
)
DROPPED: Final = Metric(
    "openvpn_status_updates_dropped_total",
    "counter",
    "Status updates that never reached the queue, by what msgget or msgsnd said, from the record of openvpn-mq-hook.",
    ("server", "queue", "reason"),
)
