"""The table of firing alerts, first on every dashboard."""

from typing import Final

from grafana_foundation_sdk.builders import table

from dashboards.panels import BAD, WARNING
from dashboards.queries import NOT_KNOWN
from dashboards.tables import Column, address, rows

_RUNBOOKS: Final = "https://github.com/openvpn-mq-exporter/openvpn-mq-exporter/blob/main/docs/runbooks"
_KEYS: Final = {"severity": "Severity", "alertname": "Alert", "instance": "Host", "what": "What"}
_WHAT: Final = '"server", "hook", "queue", "collector", "phase", "sysctl"'
_IDENTITY: Final = f"alertname, severity, cluster, job, instance, {_WHAT.replace(chr(34), '')}"

_FIRES: Final = f'max by ({_IDENTITY}) (ALERTS{{alertname=~"OpenvpnMq.+",alertstate="firing"}})'
_SINCE: Final = f'max by ({_IDENTITY}) (ALERTS_FOR_STATE{{alertname=~"OpenvpnMq.+"}})'


def firing() -> table.Panel:
    """Return the table, each row with links to what explains it."""
    lasting = f"time() - ({_SINCE} and {_FIRES}) or {NOT_KNOWN} * {_FIRES}"  # vmalert keeps it of few alerts
    named = f'label_join({lasting}, "what", " ", {_WHAT})'
    return rows(
        "Firing alerts",
        "Alerts that fire now, critical ones first, with the server and script, queue or collector that they are "
        "about. For: time since the condition came true. An alert's name leads to its runbook, its host to the "
        "dashboards. Empty: none fires, or the alert rules are not loaded.",
        _KEYS,
        [Column("For", f"max by ({', '.join(_KEYS)}) ({named})", unit="s", decimals=0, width=66)],
        source="alerts", sort="Severity", ascending=True, height=12, width=12, nothing="",
        links={
            "Alert": [("Runbook", f"{_RUNBOOKS}/${{__value.raw}}.md")],
            "Host": [("Queues of this host", address("openvpn-mq-queues", instance="${__value.raw}")),
                     ("OpenVPN on this host", address("openvpn-mq-openvpn", instance="${__value.raw}"))],
        },
        words={"Severity": {"critical": BAD, "warning": WARNING}},
    )  # fmt: skip
