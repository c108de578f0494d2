"""The dashboards and the alerts of a host that has little more than the queues to tell of."""

import time
from collections.abc import Iterator

import pytest

from tests.support.boards import PANELS
from tests.support.kernel import make
from tests.support.needs import need_root, remove_all_queues
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.releases import Release
from tests.support.rulebook import ALERTS, RECORDING
from tests.support.site import Site, everything

KEY = 0x4F560001
LIMITS = {"queues: Old limits", "queues: msgmni used", "queues: Kernel limits"}
"""Panels of the collector limits, which is on and could be off."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[Site]:
    """The exporter as it comes, on a host with a queue: no server, no trace."""
    need_root()
    remove_all_queues()
    folder = tmp_path_factory.mktemp("plain")
    queue = make(KEY)
    queue.send(b"message")
    begin = time.time()
    rules = [str(RECORDING), str(ALERTS)]
    with (
        running("--no-collector.waiters") as program,
        prometheus(folder, program.addresses(), release=release, rule_files=rules) as server,
    ):
        server.wait_for("count_over_time(sysv_msg_queue_bytes[1m]) > 5")
        yield Site(server, begin, {})
    remove_all_queues()


@pytest.mark.timeout(300)
def test_what_is_off_says_so(plain: Site) -> None:
    """A panel is empty exactly where it says `not enabled` or `nothing yet`."""
    silent = {
        name
        for name, panel in PANELS
        if not any(plain.answers(panel, target, everything()) for target in panel["targets"])
    }
    excuses = {name: panel["fieldConfig"]["defaults"]["noValue"] for name, panel in PANELS}
    excused = {name for name, excuse in excuses.items() if excuse.startswith(("not enabled", "nothing yet"))}
    assert silent == excused - LIMITS


@pytest.mark.timeout(300)
def test_what_is_off_raises_nothing(plain: Site) -> None:
    """No alert fires or waits for its time, though the rules look at what there is."""
    plain.server.wait_for("instance_queue:sysv_msg_queue_fill:ratio > 0")
    assert plain.server.query("ALERTS") == []
