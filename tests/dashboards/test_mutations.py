"""Whatever number of a rule is changed, some test of it fails: the tests hold every threshold, window and `for`."""

from pathlib import Path

import pytest

from tests.support.mutants import asking_for_all, failed, mutants, numbered
from tests.support.releases import OLD
from tests.support.rulebook import alerts, failures, file_of, needed, read, recorded

RULES = {**recorded(), **alerts()}
_BRIDGED = "the other condition bridges two minutes only"
_PREFILTER = "it only keeps queues out of the join: up to a half, there is room for as much as is in the queue"
EQUIVALENT = {  # changes that no test can tell from the rule, and why
    "instance_queue:sysv_msg_queue_full:ratio": dict.fromkeys(
        ("0.4 at 65 became 0.34", "0.4 at 65 became 0.46"), _PREFILTER
    ),
    "instance_queue:sysv_msg_queue_peak_fill:ratio": dict.fromkeys(
        (f"0.4 at {position} became {other}" for position in (94, 162) for other in (0.34, 0.46)), _PREFILTER
    ),
    "instance_queue:sysv_msg_queue_unread:seconds": {
        "2m at 89 became 240s": "changes() looks back for two minutes only"
    },
    "OpenvpnMqBacklogGrowing": {"2m at 41 became 240s": _BRIDGED, "2m at 159 became 240s": _BRIDGED},
    "OpenvpnMqConsumerStuck": {"2m at 90 became 240s": "the recording rule looks back for two minutes only"},
    "OpenvpnMqQueueFillingUp": {
        "2m at 46 became 240s": _BRIDGED,
        "0.3 at 53 became 0.255": "it only keeps queues out of the join: below a third, 3 * fill is less than 1",
        "2m at 176 became 240s": _BRIDGED,
    },
    "OpenvpnMqStatusUpdateLossHigh": {"0 at 130 became 2": "a lost update is an update: of 5 lost ones there are 5"},
    "OpenvpnMqQueueVanished": {
        "5m at 604 became 600s": "an alert that fires always has its ALERTS_FOR_STATE",
        "for became 240 s": "its tests are evaluated every 175 s, as they go on for a day",
    },
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if list(mutants(rule))])
def test_no_change_of_a_rule_passes_its_tests(name: str, tmp_path: Path) -> None:
    """The rule itself as number 0, and each of its mutants until a case of the rule's tests fails for it."""
    OLD.need()
    rule, document = RULES[name], read(file_of(name))
    left = dict(enumerate([("nothing changed", rule), *mutants(rule)]))
    for case in document["tests"]:
        variants = [numbered(changed, number) for number, (_, changed) in left.items()]
        asked = asking_for_all(case, name, left.keys())
        output = failures(tmp_path, [*needed(rule), *variants], [asked], document["evaluation_interval"])
        found = failed(output)
        assert 0 not in found, output
        assert found or not output, output
        left = {number: change for number, change in left.items() if number not in found}
    assert [what for number, (what, _) in left.items() if number] == list(EQUIVALENT.get(name, ()))
