"""Totals that never fall and never count twice."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sysv.queues import NO_QUEUES, Queues
from exporter.trace.totals import Identity, TraceTotals

KEYED = Identity(0x4F560001, 0)


def line(name: str, value: object) -> bytes:
    return json.dumps({"type": "map", "data": {f"@{name}": value}}).encode()


def queues(**keys: int) -> Queues:
    """A list of queues: q7=1 is msqid 7 with key 1."""
    nothing = [0] * len(keys)
    return Queues(list(keys.values()), [int(name[1:]) for name in keys], *([nothing] * (len(Queues._fields) - 2)))


def feed_print(
    totals: TraceTotals, session: int, /, key: dict[int, int] | None = None, **tables: dict[int, int]
) -> None:
    """Feed one whole print; `sent` stands for the calls that took no time and did not fail."""
    totals.feed(line("session", session))
    present = {msqid: 1 for table in tables.values() for msqid in table}
    if "sent" in tables:
        tables["wait_10us"] = tables.pop("sent")
    for name, values in {"key": key or {}, "active": present, **tables}.items():
        totals.feed(line(name, {str(msqid): value for msqid, value in values.items()}))
    totals.feed(line("omitted", 0))
    totals.feed(line("untracked", 0))


@pytest.fixture
def totals() -> TraceTotals:
    """That knows msqid 7."""
    totals = TraceTotals(64)
    totals.update_keys(queues(q7=0x4F560001))
    return totals


def sent(totals: TraceTotals, identity: Identity = KEYED) -> int:
    return totals.totals().get(identity, Counter())["sent"]


def test_prints_are_cumulative(totals: TraceTotals) -> None:
    """The same print twice counts once; a print that got lost changes nothing."""
    for count in (3, 3, 8):
        feed_print(totals, 1, sent={7: count})
    assert sent(totals) == 8


def test_a_new_run_counts_from_nothing(totals: TraceTotals) -> None:
    """What the run before counted stays, also where the new one has counted more already."""
    feed_print(totals, 1, sent={7: 5})
    feed_print(totals, 2, sent={7: 9})
    feed_print(totals, 2, sent={7: 10})
    assert sent(totals) == 15
    assert totals.sessions == 2


def test_a_garbled_session_line(totals: TraceTotals) -> None:
    """Until it is known again which run speaks, nothing is taken: it would be counted twice."""
    feed_print(totals, 1, sent={7: 100})
    totals.feed(line("session", 2)[:-5])
    totals.feed(line("wait_10us", {"7": 3}))
    totals.feed(line("untracked", 0))
    assert sent(totals) == 100
    feed_print(totals, 2, sent={7: 4})
    assert sent(totals) == 104
    assert totals.garbled == 1


def test_a_garbled_gate_retires_nobody(totals: TraceTotals) -> None:
    """A queue is not taken for gone because the line that names it came to harm."""
    totals.update_keys(queues(q7=0x4F560001, q8=8))
    feed_print(totals, 1, sent={7: 5, 8: 1})
    totals.feed(line("session", 1))
    totals.feed(b"###")
    totals.feed(line("active", {"8": 1}))
    totals.feed(line("untracked", 0))
    for _ in range(3):
        feed_print(totals, 1, sent={7: 5, 8: 1})
    assert sent(totals) == 5


def test_a_place_given_back(totals: TraceTotals) -> None:
    """A removed queue is gone from the prints: its counts stay, and add up with those of its next life."""
    feed_print(totals, 1, sent={7: 5})
    feed_print(totals, 1, {39: 0x4F560001}, sent={39: 2})
    feed_print(totals, 1, {39: 0x4F560001}, sent={39: 2})
    feed_print(totals, 1, {39: 0x4F560001}, sent={39: 3})
    totals.update_keys(NO_QUEUES)
    assert sent(totals) == 8


def test_a_place_given_back_and_taken_again_at_once(totals: TraceTotals) -> None:
    """Counting from nothing in the same run, for the same msqid."""
    for count in (5, 1, 2):
        feed_print(totals, 1, sent={7: count})
    assert sent(totals) == 7


def test_keys_from_the_trace() -> None:
    """A queue that nobody ever listed has the key that msgget was given; private queues are told by their msqid."""
    totals = TraceTotals(64)
    feed_print(totals, 1, {7: 0x4F560001, 8: 0, 9: 0}, sent={7: 1, 8: 2, 9: 3})
    assert (sent(totals), sent(totals, Identity(0, 8)), sent(totals, Identity(0, 9))) == (1, 2, 3)


def test_unknown_queues_ask_for_the_list() -> None:
    """A msqid without a key: the list of queues is wanted; one that is not in it is left out."""
    totals = TraceTotals(64)
    totals.feed(line("session", 1))
    assert totals.feed(line("active", {"7": 1, "8": 1}))
    totals.feed(line("wait_10us", {"7": 1, "8": 2}))
    totals.feed(line("untracked", 0))
    assert totals.totals() == {}
    totals.update_keys(queues(q7=0x4F560001))
    assert totals.totals() == {KEYED: Counter(sent=1, wait_10us=1)}


def test_memory_of_the_gone_is_bounded() -> None:
    """A creator of queues without end takes no more than its share, and a queue that is there is not forgotten."""
    totals = TraceTotals(64)
    feed_print(totals, 1, {1: 77}, sent={1: 1})
    for msqid in range(2, 1000):
        feed_print(totals, 1, {msqid: 0 if msqid % 2 else msqid}, sent={msqid: 1})
        totals.update_keys(queues(q5000=77))
    counts = totals.totals()
    assert len(counts) <= 64 + 4  # with the one in the print, and those that went since the last learn()
    assert counts[Identity(77, 0)]["sent"] == 1
    assert counts[Identity(0, 999)]["sent"] == 1


def test_what_found_no_room(totals: TraceTotals) -> None:
    """Omitted and untracked calls add up over runs."""
    for session, count in ((1, 4), (1, 6), (2, 1)):
        totals.feed(line("session", session))
        totals.feed(line("omitted", count))
        totals.feed(line("untracked", 0))
    assert totals.uncounted() == Counter(omitted=7)


def test_lost_messages_of_bpftrace(totals: TraceTotals) -> None:
    totals.feed(b'{"type": "lost_events", "data": {"events": 12}}')
    totals.feed(b'{"type": "lost_events", "data": {"events": 3}}')
    assert totals.lost == 15


def test_sends_are_the_calls_that_waited_and_did_not_fail(totals: TraceTotals) -> None:
    """They are never too many, although the maps are printed one after the other while calls go on."""
    feed_print(totals, 1, wait_10us={7: 90}, wait_1s={7: 10}, EAGAIN={7: 5}, EIDRM={7: 2}, EINTR={7: 1}, EINVAL={7: 50})
    assert sent(totals) == 92
    # Ten more refusals between the two prints: the difference is too small for a moment, the total does not fall.
    feed_print(totals, 1, wait_10us={7: 91}, wait_1s={7: 10}, EAGAIN={7: 15}, EIDRM={7: 2}, EINTR={7: 1})
    assert sent(totals) == 92
    feed_print(totals, 1, wait_10us={7: 103}, wait_1s={7: 10}, EAGAIN={7: 16}, EIDRM={7: 2}, EINTR={7: 1})
    assert sent(totals) == 94


def test_a_print_that_is_cut_off_between_the_maps_of_a_send(totals: TraceTotals) -> None:
    """A run that ends there leaves no difference that is too large."""
    feed_print(totals, 1, wait_10us={7: 10}, EAGAIN={7: 5})
    totals.feed(line("session", 1))
    totals.feed(line("active", {"7": 1}))
    totals.feed(line("wait_10us", {"7": 20}))  # ten more, all of them refused, which is never printed
    feed_print(totals, 2, wait_10us={7: 3}, EAGAIN={7: 3})
    assert sent(totals) == 5
    assert totals.totals()[KEYED]["EAGAIN"] == 8


def test_what_bpftrace_prints_when_it_ends(totals: TraceTotals) -> None:
    """All maps by the alphabet, with the @session in the middle: nothing of it is counted twice or falls."""
    feed_print(totals, 1, wait_10us={7: 10}, EAGAIN={7: 5})
    for name in ("EAGAIN", "active", "asked", "received", "session", "sent_bytes", "untracked", "wait_10us"):
        values = {"EAGAIN": {"7": 6}, "active": {"7": 1}, "sent_bytes": {"7": 1}, "wait_10us": {"7": 12}}
        totals.feed(line(name, values.get(name, {"session": 1, "asked": 99, "untracked": 0}.get(name, {}))))
    assert (sent(totals), totals.totals()[KEYED]["EAGAIN"]) == (5, 5)
    feed_print(totals, 2, wait_10us={7: 1})
    assert sent(totals) == 6


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.booleans(), st.sampled_from(["whole", "cut", "mixed", "no end", "missing"]))
    )
)
def test_any_damage(steps: list[tuple[int, bool, str]]) -> None:
    """Sends, restarts, and lines that are cut, mixed or missing: after a whole print the total is the truth, and it
    was never above it and never fell, but for what a run counted after its last whole print.
    """
    totals = TraceTotals(64)
    totals.update_keys(queues(q7=0x4F560001))
    session, counted, printed, truth, last = 1, 0, 0, 0, 0
    for more, restart, damage in steps:
        if restart:
            session, counted, printed = session + 1, 0, 0
        counted += more
        text = [line("session", session), line("active", {"7": 1}), line("wait_10us", {"7": counted})]
        text.append(line("untracked", 0))
        if damage == "cut":
            text[0] = text[0][: 1 + more % (len(text[0]) - 1)]
        elif damage == "mixed":
            text[:2] = [text[0][:20] + text[1] + text[0][20:]]
        elif damage == "no end":
            del text[-1]
        if damage == "whole":
            truth += counted - printed
            printed = counted
        for each in text if damage != "missing" else []:
            totals.feed(each)
        assert sent(totals) >= last
        last = sent(totals)
        assert last == truth
