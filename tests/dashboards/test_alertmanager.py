"""The example for Alertmanager, as its own tool reads it; tests/dashboards/test_chain.py has it at work."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.releases import Release
from tests.support.rulebook import ALERTMANAGER, alerts, read

CONFIG = ALERTMANAGER / "alertmanager.yml"


def amtool(release: Release, *arguments: str) -> str:
    """What it prints; fails where it does."""
    done = subprocess.run([release.amtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_amtool_finds_nothing(release: Release) -> None:
    """Its template, too: a file that is named and missing would be no error."""
    said = amtool(release, "check-config", str(CONFIG))
    assert "SUCCESS" in said
    assert " - 8 inhibit rules\n - 2 receivers\n - 1 templates\n  SUCCESS" in said


def test_each_alert_goes_where_its_severity_says(release: Release) -> None:
    for name, rule in alerts().items():
        severity = rule["labels"]["severity"]
        wanted = "openvpn-mq-page" if severity == "critical" else "openvpn-mq-chat"
        labels = (f"alertname={name}", f"severity={severity}", "instance=vpn1:10049", "queue=status")
        assert amtool(release, "config", "routes", "test", f"--config.file={CONFIG}", *labels) == wanted, name


def rendered(release: Release, folder: Path, name: str, *alerts: dict[str, Any]) -> str:
    """Render one of the templates for a notification of these alerts."""
    labels = [{"instance": "vpn1:10049", **alert["labels"]} for alert in alerts]
    notes = [alert["annotations"] for alert in alerts]
    document = {
        "status": "firing",
        "alerts": [{**alert, "status": "firing", "labels": own} for alert, own in zip(alerts, labels, strict=True)],
        "commonLabels": common(labels),
        "commonAnnotations": common(notes),
    }
    data = folder / "data.json"
    data.write_text(json.dumps(document))
    glob, text = f"--template.glob={ALERTMANAGER}/*.tmpl", f'--template.text={{{{ template "{name}" . }}}}'
    return amtool(release, "template", "render", glob, text, f"--template.data={data}")


def common(sets: list[dict[str, str]]) -> dict[str, str]:
    """Return what all of them have."""
    return {key: value for key, value in sets[0].items() if all(other.get(key) == value for other in sets)}


def an_alert(summary: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Alertmanager hands it to a template."""
    runbook = f"https://example.org/{labels['alertname']}.md"
    notes = {"summary": summary, "description": f"{summary} Really.", "runbook_url": runbook, "dashboard_url": "/d/x"}
    return {"labels": {"severity": "critical", **labels}, "annotations": notes}


def test_one_alert_has_its_summary_for_a_title(release: Release, tmp_path: Path) -> None:
    full = an_alert("A message queue is full.", alertname="OpenvpnMqQueueFull")
    assert rendered(release, tmp_path, "openvpn_mq.title", full) == "CRITICAL: A message queue is full. (vpn1:10049)"


def test_different_alerts_of_a_host_have_a_title_and_their_runbooks(release: Release, tmp_path: Path) -> None:
    """They have no summary in common, which would leave the title empty."""
    both = (
        an_alert("A message queue is full.", alertname="OpenvpnMqQueueFull"),
        an_alert("OpenVPN is down.", alertname="OpenvpnMqServerDown"),
    )
    title = rendered(release, tmp_path, "openvpn_mq.title", *both)
    assert title == "CRITICAL: A message queue is full. In all: 2 alerts. (vpn1:10049)"
    assert rendered(release, tmp_path, "openvpn_mq.text", *both).splitlines() == [
        "A message queue is full. Really.",
        "Runbook: https://example.org/OpenvpnMqQueueFull.md",
        "OpenVPN is down. Really.",
        "Runbook: https://example.org/OpenvpnMqServerDown.md",
    ]


def inhibited(source: dict[str, str], target: dict[str, str]) -> bool:
    """Return whether one alert suppresses another, as Alertmanager judges it by the example's rules."""

    def matches(labels: dict[str, str], matchers: list[str]) -> bool:
        for matcher in matchers:
            found = re.fullmatch(r'(\w+)(=~|!=|=)"(.*)"', matcher)
            assert found, matcher
            value = labels.get(found[1], "")
            same = bool(re.fullmatch(found[3], value)) if found[2] == "=~" else value == found[3]
            if same is (found[2] == "!="):
                return False
        return True

    return any(
        matches(source, rule["source_matchers"])
        and matches(target, rule["target_matchers"])
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in read(CONFIG)["inhibit_rules"]
    )


def of(name: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert on a host."""
    severity = alerts()[name]["labels"]["severity"]
    return {"alertname": name, "severity": severity, "instance": "vpn1:10049", "job": "openvpn-mq", **labels}


def test_what_follows_from_something_worse_is_suppressed() -> None:
    full = of("OpenvpnMqQueueFull", queue="status")
    for name in ("OpenvpnMqSendersBlocked", "OpenvpnMqConsumerStuck", "OpenvpnMqQueueNearlyFull"):
        assert inhibited(full, of(name, queue="status")), name
        assert not inhibited(full, of(name, queue="commands")), name
    hanging = of("OpenvpnMqScriptHanging", server="vpn", hook="up")
    assert inhibited(hanging, of("OpenvpnMqServerStuck", server="vpn"))
    assert not inhibited(of("OpenvpnMqServerStuck", server="vpn"), hanging)
    for cause in (hanging, of("OpenvpnMqServerDown", server="vpn"), of("OpenvpnMqServerStuck", server="vpn")):
        for name in ("OpenvpnMqManagementUnreachable", "OpenvpnMqManagementSlow", "OpenvpnMqStatusFileBad"):
            assert inhibited(cause, of(name, server="vpn")), name
            assert not inhibited(cause, of(name, server="other")), name
    assert inhibited(of("OpenvpnMqExporterDown"), full)
    assert not inhibited(full, of("OpenvpnMqServerDown", server="vpn"))


def test_clusters_and_jobs_with_the_same_instance_do_not_silence_each_other() -> None:
    down = of("OpenvpnMqExporterDown", cluster="a")
    assert inhibited(down, of("OpenvpnMqQueueFull", queue="status", cluster="a"))
    assert not inhibited(down, of("OpenvpnMqQueueFull", queue="status", cluster="b"))
    assert not inhibited(down, of("OpenvpnMqQueueFull", queue="status"))
    assert not inhibited(down, {**of("OpenvpnMqQueueFull", queue="status", cluster="a"), "job": "other"})
    for rule in read(CONFIG)["inhibit_rules"]:
        assert {"instance", "job", "cluster"} <= set(rule["equal"])


def test_nobody_is_paged_for_what_is_not_ours(release: Release) -> None:
    labels = ("alertname=DiskFull", "severity=critical")
    routed = amtool(release, "config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert routed == "openvpn-mq-chat"
