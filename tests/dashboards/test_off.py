"""The dashboards and the alerts of a host that has little more than the queues to tell of."""

import time
from collections.abc import Iterator

import pytest

from dashboards.queries import OFF
from tests.support.boards import PANELS
from tests.support.kernel import make
from tests.support.needs import need_root, remove_all_queues
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.releases import Release
from tests.support.rulebook import write_fast
from tests.support.site import Site, everything, last

pytestmark = pytest.mark.xdist_group("off")  # they share a site

KEY = 0x4F560001
OFF_TILES = {
    "fleet: Hanging scripts", "fleet: Blocked senders", "fleet: Script failures", "fleet: Updates dropped",
    "fleet: Not connected", "queues: Blocked senders", "queues: Waiting receivers", "queues: Sends refused",
    "openvpn: Hanging scripts", "openvpn: Blocked by scripts", "openvpn: Failure ratio", "openvpn: Script failures",
    "openvpn: Not connected", "openvpn: Updates dropped", "openvpn: Management down", "openvpn: Status files bad",
    "fleet: Clients connected", "openvpn: Clients connected",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Iterator[Site]:
    """The exporter as it comes, on a host with a queue: no server, no trace."""
    need_root()
    remove_all_queues()
    folder = tmp_path_factory.mktemp("plain")
    queue = make(KEY)
    queue.send(b"message")
    begin = time.time()
    rules = write_fast(folder)
    with (
        running("--no-collector.waiters", "--no-collector.scripts", "--no-openvpn.discovery") as program,
        prometheus(folder, program.addresses(), release=release, rule_files=rules) as server,
    ):
        server.wait_for("count_over_time(sysv_msg_queue_bytes[1m]) > 5")
        yield Site(server, begin, {})
    remove_all_queues()


@pytest.mark.timeout(300)
def test_what_is_off_says_so(plain: Site) -> None:
    """A graph or table is empty exactly if its collector is off, and says which; a tile says that it is off."""
    silent, off = set(), set()
    for name, panel in PANELS:
        found = [series for target in panel["targets"] for series in plain.answers(panel, target, everything())]
        if panel["type"] != "stat":
            silent |= set() if found else {name}
        elif last(found[0]) == OFF:
            off.add(name)
        else:
            assert last(found[0]) >= 0, f"{name}: unknown"
    needs = ("collector trace", "collector waiters", "collector scripts", "collectors scripts", "the server",
             "no OpenVPN server", "none (if")  # fmt: skip
    excuses = {name: panel["fieldConfig"]["defaults"]["noValue"] for name, panel in PANELS if panel["type"] != "stat"}
    assert silent == {name for name, text in excuses.items() if any(word in text for word in needs)}
    assert off == OFF_TILES


@pytest.mark.timeout(300)
def test_what_is_off_raises_nothing(plain: Site) -> None:
    """No alert fires or waits for its time, though the rules look at what there is."""
    plain.server.wait_for("sysv_msg_queue_fill_ratio > 0")
    # The site's one message, which no receiver takes, is a matter of the queues, and of half an hour.
    assert plain.server.query('ALERTS{alertname!="OpenvpnMqMessagesUnread"}') == []
