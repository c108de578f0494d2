"""Every panel's queries on a real Prometheus that scrapes an exporter with everything on."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import sysv_ipc

from tests.lab.test_trace import Traced
from tests.support.boards import BOARDS, PANELS, shown_name, substituted
from tests.support.hooks import HOOK, lines
from tests.support.kernel import make, set_limit
from tests.support.messages import in_c, with_tracefs
from tests.support.needs import missing, need, need_root, remove_all_queues
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.releases import Release
from tests.support.site import Site, everything

KEY = 0x4F560001


@contextmanager
def flowing(queue: sysv_ipc.MessageQueue) -> Iterator[None]:
    """Messages go through the queue until the block is left."""
    stop = threading.Event()

    def flow() -> None:
        while not stop.wait(0.1):
            queue.send(b"message")
            queue.send(b"message")
            queue.receive()
            queue.receive()

    thread = threading.Thread(target=flow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wrapped(lab: Lab, option: str, body: str) -> str:
    """The line of OpenVPN's configuration that runs a script under the hook."""
    script = lab.script(option, body)
    return f'{option} "{HOOK} --record {lab.folder}/hooks.jsonl --server vpn --queue {KEY:#x} -- {script}"'


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[Site]:
    """Everything on: queues that flow, that are full and waited for, and an OpenVPN whose scripts succeed and fail."""
    need_root()
    need("bpftrace", "openvpn")
    if not Path(HOOK).exists():
        missing("openvpn-mq-hook is not installed; run: pip install -e '.[dev]'")
    remove_all_queues()
    folder = tmp_path_factory.mktemp("busy")
    with Lab() as lab, ExitStack() as stack:
        updates, through, full, idle = (make(key) for key in range(KEY, KEY + 4))
        set_limit(full.id, 10)
        record = lab.folder / "hooks.jsonl"
        record.touch()
        openvpn = lab.server(
            wrapped(lab, "client-connect", 'echo "Message queue full"; case $common_name in fail*) exit 3;; esac'),
            wrapped(lab, "client-disconnect", "exit 0"),
        )
        config = folder / "exporter.yml"
        config.write_text(
            json.dumps(  # which is YAML
                {
                    "queues": {"names": [{"name": "status", "key": KEY}]},
                    "servers": [
                        {
                            "name": "vpn",
                            "log": str(openvpn.log),
                            "hooks": str(record),
                            "management": f"unix:{openvpn.management}",
                            "management_interval": "1s",
                            "status": str(openvpn.status),
                            "status_interval": "1s",
                        }
                    ],
                    "log_rules": [{"name": "started", "match": "Initiation with"}],
                }
            )
        )
        program = stack.enter_context(
            running("--collector.trace", f"--config.file={config}", before=with_tracefs(), cwd=folder)
        )
        Traced(program)
        server = stack.enter_context(prometheus(folder, program.addresses(), release=release))
        server.wait_for("openvpn_management_up == 1")
        begin = time.time()
        stack.enter_context(flowing(through))
        for load in (in_c(full.id, "block", 12, 0), in_c(idle.id, "take", 1, 0)):
            stack.callback(load.gone)
            load.asleep()
        in_c(full.id, "nowait", 3, 0).truth()
        lab.client("alice").wait_connected()
        lab.client("fail").wait_refused()
        wait_until(lambda: sum(line["event"] == "end" for line in lines(record)) >= 2, "both scripts are recorded")
        updates.receive()
        server.wait_for('sum(openvpn_script_failures_total{hook="client-connect"}) >= 1')
        server.wait_for("sum(openvpn_hook_failures_total) >= 1")
        server.wait_for("sum(openvpn_server_connected_clients) >= 1")
        server.wait_for('sum(increase(sysv_msg_queue_send_failures_total{errno="EAGAIN"}[1m])) > 0')
        server.wait_for("count_over_time(openvpn_management_up[1m]) > 5")
        yield Site(
            server, begin, {"job": "openvpn-mq", "instance": program.addresses()[0], "queue": "status", "server": "vpn"}
        )
    remove_all_queues()


@pytest.mark.timeout(300)
def test_nothing_is_empty_with_everything_on(busy: Site) -> None:
    """Each query of each panel has an answer, with all chosen; its legend's labels are there.

    A table's answers have its keys as labels and no others: a metric's name would keep rows from merging.
    """
    for name, panel in PANELS:
        for target in panel["targets"]:
            found = busy.answers(panel, target, everything())
            assert found, f"{name} {target['refId']} is empty: {target['expr']}"
            wanted = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))
            full = [series for series in found if wanted <= set(series["metric"])]
            rest = [series for series in found if series not in full]
            assert full or "none" in rest[0]["metric"].values(), f"{name} {target['refId']}: {wanted}, {found[:3]}"
            assert all("none" in series["metric"].values() for series in rest), f"{name} {target['refId']}: {rest}"
            if panel["type"] == "table":
                columns = panel["transformations"][1]["options"]["renameByName"]
                keys = {label for label in columns if not label.startswith("Value")}
                assert all(set(series["metric"]) <= keys for series in found), f"{name}: {keys}, {found[:3]}"


@pytest.mark.timeout(300)
def test_series_have_names_of_their_own(busy: Site) -> None:
    """Two lines of one graph never bear the same legend."""
    for name, panel in PANELS:
        legends = [
            shown_name(panel, target, series["metric"])
            for target in panel["targets"]
            if panel["type"] != "table"
            for series in busy.answers(panel, target, everything())
        ]
        assert len(set(legends)) == len(legends), f"{name}: {legends}"


@pytest.mark.timeout(300)
def test_what_does_not_happen_is_called_none(busy: Site) -> None:
    """And nothing else is: the rule that colours it grey goes by the name."""
    seen = 0
    for name, panel in PANELS:
        if panel["type"] != "timeseries":
            continue
        pattern = panel["fieldConfig"]["overrides"][-1]["matcher"]["options"].strip("/")
        for target in panel["targets"]:
            found = busy.answers(panel, target, everything())
            for series in found:
                nothing = "none" in series["metric"].values()
                shown = shown_name(panel, target, series["metric"])
                assert bool(re.search(pattern, shown)) is nothing, f"{name}: {shown}"
                assert not nothing or len(found) == 1, f"{name}: {found}"
                seen += nothing
    assert seen


@pytest.mark.timeout(300)
def test_one_host_queue_and_server_can_be_chosen(busy: Site) -> None:
    """What the variables offer is there; choosing it leaves no panel empty, choosing another host leaves all empty."""
    for document in BOARDS.values():
        for variable in document["templating"]["list"][1:]:
            label = re.search(r"(\w+)\)$", variable["definition"])
            assert label
            selector = re.search(r"\((.+), *\w+\)$", variable["definition"])
            match = {"match[]": substituted(selector[1], everything(), window="8s", whole="1m")} if selector else {}
            url = f"{busy.server.url}/api/v1/label/{label[1]}/values"
            values = requests.get(url, params=match, timeout=30).json()["data"]
            assert busy.choices[label[1]] in values, variable["name"]
    chosen = {name: re.escape(value).replace("\\", "\\\\") for name, value in busy.choices.items()}  # as Grafana does
    for name, panel in PANELS:
        for target in panel["targets"]:
            assert busy.answers(panel, target, chosen), f"{name} {target['refId']}"
            assert not busy.answers(panel, target, {**chosen, "instance": "elsewhere"}), name


@pytest.mark.timeout(300)
def test_numbers_are_those_of_the_site(busy: Site) -> None:
    """Some of them, by the titles of their panels, against what the site did."""

    def value(title: str) -> float:
        (panel,) = (panel for name, panel in PANELS if name == title)
        (series,) = busy.answers(panel, panel["targets"][0], everything())
        return float(series["value"][1])

    assert value("queues: Fullest queue") == 1
    assert value("queues: Senders blocked") == 1
    assert value("queues: Receivers") >= 1
    assert value("fleet: Senders blocked") == 1
    assert value("fleet: Hosts down") == 0
    assert value("fleet: Queues > 80 %") == 1
    assert value("openvpn: Clients") >= 1
    assert round(value("openvpn: Scripts failed")) >= 1
    assert value("openvpn: Management down") == 0


@pytest.mark.timeout(300)
def test_annotations_are_valid(busy: Site) -> None:
    for document in BOARDS.values():
        (annotation,) = document["annotations"]["list"]
        busy.server.query(substituted(annotation["expr"], everything(), window="8s", whole="1m"))
