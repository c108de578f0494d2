"""Graphs of a host with more queues than lines can be told apart."""

import time
from collections.abc import Iterator

import pytest

from tests.conftest import need, need_root, remove_all_queues
from tests.dashboards.boards import PANELS
from tests.dashboards.site import Site, everything
from tests.lab.program import running
from tests.lab.prometheus import prometheus
from tests.sysv.kernel import make

KEYS = range(0x4F560001, 0x4F560001 + 12)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Twelve queues with a few messages each; the first was fuller than any other, and is empty by now."""
    need_root()
    need("prometheus")
    remove_all_queues()
    first, *others = (make(key) for key in KEYS)
    for number, queue in enumerate(others):
        for _ in range(number):
            queue.send(b"message")
    for _ in range(100):
        first.send(b"message")
    folder = tmp_path_factory.mktemp("crowded")
    begin = time.time()
    with running("--collector.queues") as program, prometheus(folder, program.addresses()) as server:
        server.wait_for("count_over_time(sysv_msg_queue_bytes[1m]) > 5")
        for _ in range(100):
            first.receive()
        server.wait_for(f'sysv_msg_queue_messages{{queue="{KEYS[0]:#010x}"}} == 0')
        server.wait_for("count_over_time(sysv_msg_queue_bytes[1m]) > 10")
        yield Site(server, begin, {})
    remove_all_queues()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("title", ["queues: Fill (top 8)", "queues: Messages waiting (top 8)"])
def test_the_highest_of_the_time_range_are_shown(crowded: Site, title: str) -> None:
    """The one that has been emptied among them, each from the first scrape to the last."""
    (panel,) = (panel for name, panel in PANELS if name == title)
    found = crowded.answers(panel, panel["targets"][0], everything())
    assert {series["metric"]["queue"] for series in found} == {f"{key:#010x}" for key in (KEYS[0], *KEYS[-7:])}
    assert len({len(series["values"]) for series in found}) == 1
