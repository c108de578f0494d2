"""Which of many are shown, and which come first."""

import time
from collections.abc import Iterator

import pytest

from tests.support.boards import PANELS
from tests.support.kernel import make, set_limit
from tests.support.needs import need_root, remove_all_queues
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.releases import Release
from tests.support.rulebook import write_fast
from tests.support.site import Site, everything

pytestmark = pytest.mark.xdist_group("top")  # they share a site

NOBODY = "127.0.0.1:1"
KEYS = range(0x4F560001, 0x4F560001 + 12)
FULL_AT = 10 * len(b"message")  # bytes; the last queue has ten of them


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[Site]:
    """Twelve queues with a few messages each; the first was fuller than any other, and is empty by now.

    The last one is full. And another host is down.
    """
    need_root()
    remove_all_queues()
    first, *others = (make(key) for key in KEYS)
    for number, queue in enumerate(others):
        for _ in range(number):
            queue.send(b"message")
    for _ in range(100):
        first.send(b"message")
    set_limit(others[-1].id, FULL_AT)
    folder = tmp_path_factory.mktemp("crowded")
    begin = time.time()
    with (
        running("--no-collector.discovery", "--no-collector.scripts") as program,  # whatever runs beside it
        prometheus(folder, [*program.addresses(), NOBODY], release=release, rule_files=write_fast(folder)) as server,
    ):
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


@pytest.mark.timeout(300)
def test_a_host_that_is_down_comes_first(crowded: Site) -> None:
    """Then come hanging scripts and full queues: beyond any number of problems, and shown as words."""
    (panel,) = (panel for name, panel in PANELS if name == "fleet: Hosts, those with problems first")
    (properties,) = (
        {change["id"]: change["value"] for change in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "Problems"
    )
    _, *ranges = properties["mappings"]
    texts = {mapping["options"]["result"]["text"]: mapping["options"]["from"] for mapping in ranges}
    assert list(texts) == ["down", "hanging", "full"], "the first that fits is shown"
    crowded.server.wait_for("instance_queue:sysv_msg_queue_full:ratio")
    found = crowded.answers(panel, panel["targets"][0], everything())
    problems = {series["metric"]["instance"]: float(series["value"][1]) for series in found}
    assert len(problems) == 2
    most = len(panel["targets"])  # of problems
    assert problems.pop(NOBODY) >= texts["down"] > texts["hanging"] + most
    assert texts["hanging"] > texts["full"] + most
    (full,) = problems.values()
    assert texts["full"] + most > full > texts["full"] > most
    assert panel["transformations"][-1]["options"]["sort"] == [{"field": "Problems", "desc": True}]


@pytest.mark.timeout(300)
def test_what_is_not_known_of_a_host_that_is_down_is_not_off(crowded: Site) -> None:
    """Nor 0, in any column; of the other host the collectors that are off are."""
    (panel,) = (panel for name, panel in PANELS if name == "fleet: Hosts, those with problems first")
    for target in panel["targets"][1:]:
        found = crowded.answers(panel, target, everything())
        values = {series["metric"]["instance"]: float(series["value"][1]) for series in found}
        assert values.pop(NOBODY) == -1, target["expr"]
        assert all(value >= 0 for value in values.values()), target["expr"]
