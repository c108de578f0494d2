"""The example for Alertmanager, as its own tool reads it; tests/dashboards/test_chain.py has it at work."""

import subprocess

from tests.support.releases import Release
from tests.support.rulebook import ALERTMANAGER, alerts

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
    assert " - 3 inhibit rules\n - 2 receivers\n - 1 templates\n  SUCCESS" in said


def test_each_alert_goes_where_its_severity_says(release: Release) -> None:
    for name, rule in alerts().items():
        severity = rule["labels"]["severity"]
        wanted = "openvpn-mq-page" if severity == "critical" else "openvpn-mq-chat"
        labels = (f"alertname={name}", f"severity={severity}", "instance=vpn1:10049", "queue=status")
        assert amtool(release, "config", "routes", "test", f"--config.file={CONFIG}", *labels) == wanted, name


def test_nobody_is_paged_for_what_is_not_ours(release: Release) -> None:
    labels = ("alertname=DiskFull", "severity=critical")
    routed = amtool(release, "config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert routed == "openvpn-mq-chat"
