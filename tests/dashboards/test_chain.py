"""From a real queue and a real OpenVPN to a notification: exporter, Prometheus, Alertmanager, a webhook.

The rules and Alertmanager's configuration are those that ship, with the test's addresses for the receivers'. By default
all their durations are a thirtieth: what is tried here is how the parts fit together. `-m slow` lets an operator's time
pass. The old and the new release watch the same exporters.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.alertmanager import Alertmanager, Listener, alertmanager
from tests.support.hooks import HOOK, lines
from tests.support.kernel import make, set_limit
from tests.support.needs import need, need_root, remove_all_queues
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running
from tests.support.prometheus import Prometheus, prometheus
from tests.support.releases import RELEASES, Release
from tests.support.rulebook import ALERTMANAGER, ALERTS, RECORDING, at_pace

KEYS = {"status": 0x4F560001, "commands": 0x4F560002, "routes": 0x4F560003}
GRAFANA = "https://grafana.example.org"

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("chain")]


class Watch(NamedTuple):
    """One release of Prometheus and Alertmanager, and where its notifications come in."""

    server: Prometheus
    manager: Alertmanager
    listener: Listener

    def notified(self, path: str, name: str, **labels: str) -> list[dict[str, Any]]:
        """What came to a path of that alert: an alert from the on-call webhook's, a text from the chat's."""
        bodies = self.listener.at(path)
        if path == "/chat":
            said = [attachment for body in bodies for attachment in body["attachments"]]
            return [text for text in said if all(word in text["text"] for word in (f"/{name}.md", *labels.values()))]
        wanted = {"alertname": name, **labels}
        return [alert for body in bodies for alert in body["alerts"] if wanted.items() <= alert["labels"].items()]

    def wait_for(self, path: str, name: str, seconds: float, **labels: str) -> dict[str, Any]:
        """The first such notification."""
        wait_until(lambda: bool(self.notified(path, name, **labels)), f"{name} comes to {path}", seconds)
        return self.notified(path, name, **labels)[0]


class Site(NamedTuple):
    """A host with trouble; where it is scraped, by an exporter that stays and by one that was ended; who watches."""

    watches: dict[str, Watch]
    staying: str
    leaving: str
    record: Path
    times: int
    """How much faster than an operator's time passes."""
    held: dict[str, list[dict[str, Any]]]
    """The alerts of the full queue of the exporter that was ended, when that was noticed, by release."""


def watch(stack: ExitStack, folder: Path, release: Release, targets: list[str], times: int) -> Watch:
    """Start a release on the shipped files, with our own addresses for those that an operator is to fill in."""
    listener = Listener()
    stack.callback(listener.close)
    shipped = (ALERTMANAGER / "alertmanager.yml").read_text()
    addresses = {"http://chat.example.org/hooks/openvpn-mq": "/chat", "http://oncall.example.org/openvpn-mq": "/oncall"}
    for example, path in addresses.items():
        assert example in shipped
        shipped = shipped.replace(example, f"http://{listener.address}{path}")
    assert "example.org" not in shipped
    folder.mkdir()
    config = folder / "alertmanager.yml"
    config.write_text(at_pace(shipped, times))
    (folder / "openvpn-mq.tmpl").write_text((ALERTMANAGER / "openvpn-mq.tmpl").read_text())
    manager = stack.enter_context(alertmanager(config, release))
    for rules in (RECORDING, ALERTS):
        linked = rules.read_text().replace(
            "dashboard_url: '/d/", f"dashboard_url: '{GRAFANA}/d/"
        )  # as docs/alerts.md says
        (folder / rules.name).write_text(at_pace(linked, times))
    server = stack.enter_context(
        prometheus(
            folder,
            targets,
            release=release,
            rule_files=[str(folder / path.name) for path in (RECORDING, ALERTS)],
            alerting={"alertmanagers": [{"static_configs": [{"targets": [manager.address]}]}]},
        )
    )
    return Watch(server, manager, listener)


@pytest.fixture(scope="module", params=[30, pytest.param(1, marks=pytest.mark.slow)], ids=["fast", "real pace"])
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    """One queue is full from the beginning and one is filled, one update finds no room, one script fails."""
    need_root()
    need("openvpn")
    times: int = request.param
    for release in RELEASES.values():
        release.need()
    remove_all_queues()
    folder = tmp_path_factory.mktemp("chain")
    with Lab() as lab, ExitStack() as stack:
        status, commands, routes = map(make, KEYS.values())
        for queue in (commands, routes):
            set_limit(queue.id, 100)
        routes.send(b"x" * 97)
        record = lab.folder / "hooks.jsonl"
        record.touch()
        script = lab.script("connect", "case $common_name in fail*) kill -9 $$;; esac")
        hook = f"{HOOK} --record {record} --server vpn --queue {KEYS['status']:#x}"
        openvpn = lab.server(f'client-connect "{hook} -- {script}"')
        config = folder / "exporter.yml"
        named = [{"name": name, "key": key} for name, key in KEYS.items()]
        servers = [{"name": "vpn", "log": str(openvpn.log), "hooks": str(record)}]
        config.write_text(json.dumps({"queues": {"names": named}, "servers": servers}))  # which is YAML
        # The record of the hook is the one source of what scripts do: which one is named is what the texts are held to.
        flags = (f"--config.file={config}", "--web.listen-address=127.0.0.1:0", "--no-collector.scripts")
        staying = stack.enter_context(running(*flags, "--collector.queues.exclude=routes"))
        leaving = stack.enter_context(running(*flags))
        targets = [program.addresses()[0] for program in (staying, leaving)]
        watches = {name: watch(stack, folder / name, release, targets, times) for name, release in RELEASES.items()}

        lab.client("alice").wait_connected()
        for each in watches.values():
            each.server.wait_for("count(openvpn_status_updates_total == 1) == 2")
            # increase() of a counter that Prometheus has known for two or three scrapes only is up to twice as much.
            each.server.wait_for("min(count_over_time(openvpn_status_updates_dropped_total[10m])) > 22")
        set_limit(status.id, len(status.receive()[0]) * 3 // 2)  # room for one update
        commands.send(b"x" * 99)
        lab.client("bob").wait_connected()
        lab.client("fail").wait_refused()
        wait_until(lambda: sum(line["event"] == "end" for line in lines(record)) == 3, "all scripts are recorded")
        status.receive()  # there is room again, and nothing waits
        for each in watches.values():
            each.wait_for("/oncall", "OpenvpnMqQueueFull", 300, instance=targets[1], queue="routes")  # 3 min + 2 x 30 s
        leaving.stop()
        held = {}
        for name, each in watches.items():
            each.wait_for("/oncall", "OpenvpnMqExporterDown", 900, instance=targets[1])
            held[name] = each.manager.alerts("OpenvpnMqQueueFull", instance=targets[1], queue="routes")
        yield Site(watches, targets[0], targets[1], record, times, held)
    remove_all_queues()


def queue_dashboard(instance: str, queue: str) -> str:
    """Where an alert of a queue leads to."""
    return f"{GRAFANA}/d/openvpn-mq-queues?var-instance={instance.replace(':', '%3A')}&var-queue={queue}"


_waited: set[int] = set()


def waited_for_group_wait(site: Site) -> None:
    """Let a group_wait of the chat pass; once is enough, as both releases watch at the same time."""
    if site.times not in _waited:
        time.sleep(35 / site.times)
        _waited.add(site.times)


@pytest.fixture(params=RELEASES)
def watched(site: Site, request: pytest.FixtureRequest) -> Watch:
    """By the old release, and by the new one."""
    return site.watches[request.param]


def test_a_failed_script_is_told_to_the_chat_alone(site: Site, watched: Watch) -> None:
    assert [line.get("signal") for line in lines(site.record) if line["event"] == "end"].count(9) == 1
    chat = watched.wait_for("/chat", "OpenvpnMqScriptsFailing", 100, instance=site.staying)
    assert chat["title"] == f"WARNING: Scripts of OpenVPN fail. ({site.staying})"
    assert chat["text"].splitlines()[0] == (
        f"Failures of the client-connect script of server vpn on {site.staying} in ten minutes, as seen by "
        "the record of openvpn-mq-hook: 1."
    )
    assert chat["color"] == "warning"
    assert watched.notified("/oncall", "OpenvpnMqScriptsFailing") == []


def test_a_dropped_update_is_told_with_its_queue_and_reason(site: Site, watched: Watch) -> None:
    assert [line["update"] for line in lines(site.record) if line["event"] == "end"].count("full") == 1
    chat = watched.wait_for("/chat", "OpenvpnMqStatusUpdatesDropped", 100, instance=site.staying)
    assert chat["title"] == f"WARNING: Status updates were dropped. ({site.staying})"
    assert chat["text"].splitlines()[0] == (
        f"Status updates that openvpn-mq-hook of server vpn on {site.staying} could not put on the queue status in ten "
        "minutes: 1 (reason: full)."
    )
    assert chat["text"].splitlines()[1] == f"Dashboard: {queue_dashboard(site.staying, 'status')}"


def test_the_critical_alert_holds_back_the_warning_of_the_same_queue(site: Site, watched: Watch) -> None:
    """A queue that is full is nearly full as well: Alertmanager knows, and notifies nobody."""
    nearly = watched.manager.wait_for("OpenvpnMqQueueNearlyFull", "suppressed", 600, instance=site.staying)
    full = watched.manager.wait_for("OpenvpnMqQueueFull", "active", 10, instance=site.staying, queue="commands")
    assert nearly["labels"]["queue"] == "commands"
    assert full["labels"]["severity"] == "critical"
    assert nearly["status"]["inhibitedBy"], "by this one or another critical one of the queue"


def test_a_filled_queue_pages_somebody(site: Site, watched: Watch) -> None:
    alert = watched.wait_for("/oncall", "OpenvpnMqQueueFull", 300, instance=site.staying)
    assert alert["status"] == "firing"
    assert alert["labels"] == {
        "alertname": "OpenvpnMqQueueFull",
        "instance": site.staying,
        "job": "openvpn-mq",
        "queue": "commands",
        "severity": "critical",
    }
    notes = alert["annotations"]
    assert notes["summary"] == "A message queue is full."
    assert notes["description"] == (
        f"The queue commands on {site.staying} is 99% full (messages waiting: 1, limit: 100B): there is no room for "
        "another message of the usual size, so its senders are refused or have to wait."
    )
    assert notes["dashboard_url"] == queue_dashboard(site.staying, "commands")
    chat = watched.wait_for("/chat", "OpenvpnMqQueueFull", 30, instance=site.staying)
    assert chat["title"] == f"CRITICAL: A message queue is full. ({site.staying})", chat
    assert chat["text"].splitlines() == [
        notes["description"],
        f"Dashboard: {notes['dashboard_url']}",
        f"Runbook: {notes['runbook_url']}",
    ]
    assert (chat["fallback"], chat["color"]) == (chat["title"], "danger")


def test_an_exporter_that_is_down_holds_back_all_else_of_its_instance(site: Site, watched: Watch) -> None:
    """What was last seen of it goes on firing for a while, and is news no more; of the other instance all stays."""
    alert = watched.wait_for("/oncall", "OpenvpnMqExporterDown", 10, instance=site.leaving)
    assert alert["annotations"]["description"] == (
        f"The exporter on {site.leaving} has not answered a scrape for ten minutes or more: queues, scripts and status "
        "updates of that host are not watched."
    )
    (name,) = (name for name, each in site.watches.items() if each is watched)
    (held,) = site.held[name]
    assert held["status"]["state"] == "suppressed"
    other = watched.manager.wait_for("OpenvpnMqQueueFull", "active", 10, instance=site.staying)
    assert other["status"]["inhibitedBy"] == []


def test_nothing_else_was_raised(site: Site, watched: Watch) -> None:
    """Neither by this trouble nor by the collectors that see none, nor by what was suppressed all the time."""
    waited_for_group_wait(site)
    paged = {alert["labels"]["alertname"] for body in watched.listener.at("/oncall") for alert in body["alerts"]}
    assert paged == {"OpenvpnMqQueueFull", "OpenvpnMqExporterDown"}
    texts = "".join(attachment["text"] for body in watched.listener.at("/chat") for attachment in body["attachments"])
    told = set(re.findall(r"/runbooks/(\w+)\.md", texts))
    small = {"OpenvpnMqQueueLimitBelowSysctl", "OpenvpnMqQueueFullInBursts"}  # of the queues with a limit of 100 bytes
    assert told - small == paged | {"OpenvpnMqScriptsFailing", "OpenvpnMqStatusUpdatesDropped"}
