"""VictoriaMetrics, fed by remote write, gives the answers that Prometheus gives: to the rules, and to Fleet.

Its vmalert evaluates the rules as they are shipped, but for `keep_firing_for`, which vmalert before 1.93 refuses, and
for the durations, which the test has no time for.
"""

import json
import multiprocessing
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from bench.fleet_hosts import hostname, serve
from tests.support.boards import BOARDS, substituted
from tests.support.markdown import blocks
from tests.support.needs import need
from tests.support.prometheus import Prometheus, free_port, serving
from tests.support.releases import OLD
from tests.support.rulebook import ALERTS, RECORDING, read, recorded
from tests.support.site import everything, until_alike

HOSTS = [1, 2, 7, 17, 27, 57]
"""Two that are well, a queue that is full, a script that fails, one that hangs, another full queue (bench/fleet.py)."""

PATIENCE = 200.0
"""Seconds. The rate of a young counter is low in Prometheus only: there, an alert may begin minutes later."""

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("victoria")]  # they share a site

Labels = frozenset[tuple[str, str]]


class Both(NamedTuple):
    """The two databases, and vmalert, which evaluates for the second."""

    prometheus: Prometheus
    victoria: Prometheus
    vmalert: str


def write_rules(folder: Path) -> list[str]:
    """Write the shipped rules without durations and intervals; return their paths."""
    written = []
    for path in (RECORDING, ALERTS):
        groups = []
        for group in read(path)["groups"]:
            rules = [{k: v for k, v in rule.items() if k not in {"for", "keep_firing_for"}} for rule in group["rules"]]
            groups.append({"name": group["name"], "rules": rules})
        (folder / path.name).write_text(yaml.safe_dump({"groups": groups}))
        written.append(str(folder / path.name))
    return written


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Run all of them until trouble shows in both."""
    OLD.need()
    need("victoria-metrics", "vmalert")
    folder = tmp_path_factory.mktemp("both")
    port, ours, theirs, alerts = (free_port() for _ in range(4))
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": hostname(host), "__metrics_path__": f"/{host}"}}
        for host in HOSTS
    ]
    rules = write_rules(folder)
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
                "rule_files": rules,
                "scrape_configs": [{"job_name": "openvpn-mq", "static_configs": targets}],
                "remote_write": [
                    {
                        "url": f"http://127.0.0.1:{theirs}/api/v1/write",
                        "write_relabel_configs": [  # what Prometheus records and alerts is vmalert's to find out
                            {"source_labels": ["__name__"], "regex": ".+:.+|ALERTS.*", "action": "drop"}
                        ],
                    }
                ],
            }
        )
    )
    hosts = multiprocessing.Process(target=serve, args=(port, 5, 1), daemon=True)
    hosts.start()
    url = f"http://127.0.0.1:{theirs}"
    ready = "/health"
    try:
        with (
            serving(
                [
                    "victoria-metrics", f"-storageDataPath={folder / 'victoria'}",
                    f"-httpListenAddr=127.0.0.1:{theirs}",
                    "-search.latencyOffset=1s", "-search.disableCache", "-memory.allowedBytes=200MB",
                ],
                url, folder / "victoria.log", ready=ready,
            ),
            serving(
                [
                    OLD.prometheus, f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{ours}",
                ],
                f"http://127.0.0.1:{ours}", folder / "prometheus.log",
            ),
            serving(
                [
                    "vmalert", *(f"-rule={path}" for path in rules), f"-datasource.url={url}",
                    f"-remoteWrite.url={url}", f"-remoteRead.url={url}", "-notifier.url=http://127.0.0.1:1",
                    "-evaluationInterval=5s", f"-httpListenAddr=127.0.0.1:{alerts}",
                ],
                f"http://127.0.0.1:{alerts}", folder / "vmalert.log", ready=ready,
            ),
        ):  # fmt: skip
            found = Both(Prometheus(f"http://127.0.0.1:{ours}"), Prometheus(url), f"http://127.0.0.1:{alerts}")
            found.prometheus.wait_for("count_over_time(sysv_msg_queue_bytes[10m]) > 30", 240)
            for database in (found.prometheus, found.victoria):
                database.wait_for("instance_server:openvpn_scripts_hanging:count", 60)
            yield found
    finally:
        hosts.terminate()
        hosts.join()


def test_vmalert_takes_the_rules_as_the_page_says(tmp_path: Path) -> None:
    """The first line of the page's block writes what the second loads."""
    need("vmalert")
    _, block = blocks((ROOT / "docs" / "scale.md").read_text(), "sh")
    write, load = block.split("\n", 1)
    (tmp_path / "dashboards").symlink_to(ROOT / "dashboards")
    script = f"{write}\n{load.rstrip()} -dryRun\n"
    done = subprocess.run(["sh", "-eu"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def firing(groups: list[dict[str, Any]]) -> set[Labels]:
    """Return name and labels of each alert that fires."""
    return {
        frozenset(alert["labels"].items()) | {("alertname", rule["name"])}
        for group in groups
        for rule in group["rules"]
        for alert in rule.get("alerts") or ()
    }


def test_the_same_alerts_fire(both: Both) -> None:
    """Each with the same labels; in either they may be one evaluation behind."""

    def asked() -> tuple[set[Labels], set[Labels]]:
        ours = firing(requests.get(f"{both.prometheus.url}/api/v1/rules", timeout=30).json()["data"]["groups"])
        listed = requests.get(f"{both.vmalert}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
        theirs = {
            frozenset((name, value) for name, value in alert["labels"].items() if name != "alertgroup")
            | {("alertname", alert["name"])}
            for alert in listed
            if alert["state"] == "firing"
        }
        return ours, theirs

    ours, theirs = until_alike(asked, PATIENCE)
    assert {dict(labels)["alertname"] for labels in ours} >= {"OpenvpnMqQueueFull", "OpenvpnMqSendersBlocked"}
    assert ours == theirs, f"only Prometheus: {ours - theirs}; only VictoriaMetrics: {theirs - ours}"


@pytest.mark.parametrize("name", recorded())
def test_the_same_series_are_recorded(both: Both, name: str) -> None:
    """Values too, as far as they can be: VictoriaMetrics does not extrapolate an increase to the window's ends."""
    ours, theirs = (
        {
            frozenset((label, value) for label, value in series["metric"].items() if label != "__name__"): float(
                series["value"][1]
            )
            for series in database.query(name)
        }
        for database in (both.prometheus, both.victoria)
    )
    assert set(ours) == set(theirs)
    share = 1 if "time_in_queue" in name else 0.35  # a quotient of two estimates
    least = 10 if name.endswith("seconds") else 2  # the moments of two evaluations differ
    for labels, value in ours.items():
        assert theirs[labels] == pytest.approx(value, rel=share, abs=least), dict(labels)


@pytest.mark.parametrize(
    "panel", [panel for panel in BOARDS["fleet"]["panels"] if panel["type"] != "row"], ids=lambda panel: panel["title"]
)
def test_fleet_has_the_same_rows_and_lines(both: Both, panel: dict[str, Any]) -> None:
    """In either, an alert may fire one evaluation later."""
    for target in panel["targets"]:

        def shown(database: Prometheus, target: dict[str, Any] = target) -> set[Labels] | int:
            """Of more than eight that are equal, either may choose others."""
            found = labels(database, target)
            return len(found) if "topk" in target["expr"] else found

        ours, theirs = until_alike(lambda: (shown(both.prometheus), shown(both.victoria)), PATIENCE)
        assert ours == theirs, f"Prometheus and VictoriaMetrics differ in {target['expr']}"


def labels(database: Prometheus, target: dict[str, Any]) -> set[Labels]:
    """Return the series that a database answers a panel's query with."""
    now = time.time() - 5
    query = substituted(target["expr"], {**everything(), "__interval": "15s"}, window="60s", whole="120s")
    parameters: dict[str, Any] = {"query": query, "time": now}
    if target["range"]:
        parameters = {"query": query, "start": now - 120, "end": now, "step": 15}
    path = "query_range" if target["range"] else "query"
    answer = requests.get(f"{database.url}/api/v1/{path}", params=parameters, timeout=60).json()
    assert answer["status"] == "success", (query, answer)
    return {frozenset(series["metric"].items()) for series in answer["data"]["result"]}
