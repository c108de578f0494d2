"""Two Prometheus servers that scrape the same hosts, seen as one: every panel shows what it shows of one alone."""

import multiprocessing
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from bench.fleet_hosts import hostname, serve
from tests.support.boards import TARGETS, Document
from tests.support.prometheus import free_port, prometheus
from tests.support.releases import OLD
from tests.support.rulebook import write_fast
from tests.support.site import Site, everything, last, until_alike

HOSTS = [1, 7, 17, 27]

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("replicas")]  # they share a site


class Both(NamedTuple):
    """A Prometheus, and one with all of its series twice, as Thanos shows a pair of them without deduplication."""

    one: Site
    pair: Site


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    OLD.need()
    port = free_port()
    hosts = multiprocessing.Process(target=serve, args=(port, 3, 1), daemon=True)
    hosts.start()

    def jobs(*replicas: str) -> list[dict[str, Any]]:
        return [
            {
                "targets": [f"127.0.0.1:{port}"],
                "labels": {"instance": hostname(host), "__metrics_path__": f"/{host}", "replica": replica},
            }
            for host in HOSTS
            for replica in replicas
        ]

    folders = [tmp_path_factory.mktemp(name) for name in ("one", "pair")]
    configurations: list[dict[str, Any]] = [
        {"scrape_configs": [{"job_name": "openvpn-mq", "static_configs": found}]}
        for found in (jobs(""), jobs("a", "b"))
    ]
    try:
        with (
            prometheus(folders[0], [], rule_files=write_fast(folders[0]), **configurations[0]) as one,
            prometheus(folders[1], [], rule_files=write_fast(folders[1]), **configurations[1]) as pair,
        ):
            for server in (one, pair):
                server.wait_for("count_over_time(instance_server_hook:openvpn_scripts_failed:increase10m[1m]) > 2", 90)
                server.wait_for("count_over_time(instance:sysv_msg_queue_sends_refused:increase10m[1m]) > 2", 90)
            begin = time.time()
            yield Both(Site(one, begin, {}), Site(pair, begin, {}))
    finally:
        hosts.terminate()
        hosts.join()


ASKED = [(name, panel, target) for name, panel, target in TARGETS if panel["title"] != "Firing alerts"]
"""Alerts fire at their own times in either."""


@pytest.mark.parametrize(
    ("panel", "target"), [(panel, target) for _, panel, target in ASKED], ids=[name for name, _, _ in ASKED]
)
def test_a_pair_shows_what_one_shows(both: Both, panel: Document, target: Document) -> None:
    """The same rows and lines, none twice, no sum doubled, and no join that fails."""

    def shown(site: Site) -> Any:
        """What tells lines and rows apart; of eight that are equal, either may choose others."""
        found = [series["metric"] for series in site.answers(panel, target, everything())]
        if "topk" in target["expr"]:
            return len([labels for labels in found if "none" not in labels.values()])
        return sorted(sorted(labels.items()) for labels in found)

    alone, as_pair = until_alike(lambda: (shown(both.one), shown(both.pair)), patience=20)
    assert alone == as_pair
    if panel["type"] == "stat":
        one, pair = (site.answers(panel, target, everything()) for site in both)
        assert last(pair[0]) == pytest.approx(last(one[0]), rel=0.5, abs=0.5)
