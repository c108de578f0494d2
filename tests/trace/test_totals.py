"""Totals that never fall and never count twice."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sysv.queues import NO_QUEUES, Queues
from exporter.trace.totals import Identity, Tally

KEYED = Identity(0x4F560001, 0)


def line(name: str, value: object) -> bytes:
    return json.dumps({"type": "map", "data": {f"@{name}": value}}).encode()


def queues(**keys: int) -> Queues:
    """A list of queues: q7=1 is msqid 7 with key 1."""
    nothing = [0] * len(keys)
    return Queues(list(keys.values()), [int(name[1:]) for name in keys], *([nothing] * (len(Queues._fields) - 2)))


def hear(tally: Tally, session: int, /, key: dict[int, int] | None = None, **tables: dict[int, int]) -> None:
    """One whole print."""
    tally.hear(line("session", session))
    gate = {msqid: 1 for table in tables.values() for msqid in table}
    for name, values in {"key": key or {}, "active": gate, **tables}.items():
        tally.hear(line(name, {str(msqid): value for msqid, value in values.items()}))


@pytest.fixture
def tally() -> Tally:
    """That knows msqid 7."""
    tally = Tally(64)
    tally.learn(queues(q7=0x4F560001))
    return tally


def sent(tally: Tally, identity: Identity = KEYED) -> int:
    return tally.totals().get(identity, Counter())["sent"]


def test_prints_are_cumulative(tally: Tally) -> None:
    """The same print twice counts once; a print that got lost changes nothing."""
    for count in (3, 3, 8):
        hear(tally, 1, sent={7: count})
    assert sent(tally) == 8


def test_a_new_run_counts_from_nothing(tally: Tally) -> None:
    """What the run before counted stays, also where the new one has counted more already."""
    hear(tally, 1, sent={7: 5})
    hear(tally, 2, sent={7: 9})
    hear(tally, 2, sent={7: 10})
    assert sent(tally) == 15
    assert tally.sessions == 2


def test_a_garbled_session_line(tally: Tally) -> None:
    """Until it is known again which run speaks, nothing is taken: it would be counted twice."""
    hear(tally, 1, sent={7: 100})
    tally.hear(line("session", 2)[:-5])
    tally.hear(line("sent", {"7": 3}))
    assert sent(tally) == 100
    hear(tally, 2, sent={7: 4})
    assert sent(tally) == 104
    assert tally.garbled == 1


def test_a_garbled_gate_retires_nobody(tally: Tally) -> None:
    """A queue is not taken for gone because the line that names it came to harm."""
    tally.learn(queues(q7=0x4F560001, q8=8))
    hear(tally, 1, sent={7: 5, 8: 1})
    tally.hear(line("session", 1))
    tally.hear(b"###")
    tally.hear(line("active", {"8": 1}))
    for _ in range(3):
        hear(tally, 1, sent={7: 5, 8: 1})
    assert sent(tally) == 5


def test_a_place_given_back(tally: Tally) -> None:
    """A removed queue is gone from the prints: its counts stay, and add up with those of its next life."""
    hear(tally, 1, sent={7: 5})
    hear(tally, 1, {39: 0x4F560001}, sent={39: 2})
    hear(tally, 1, {39: 0x4F560001}, sent={39: 2})
    hear(tally, 1, {39: 0x4F560001}, sent={39: 3})
    tally.learn(NO_QUEUES)
    assert sent(tally) == 8


def test_a_place_given_back_and_taken_again_at_once(tally: Tally) -> None:
    """Counting from nothing in the same run, for the same msqid."""
    for count in (5, 1, 2):
        hear(tally, 1, sent={7: count})
    assert sent(tally) == 7


def test_keys_from_the_trace() -> None:
    """A queue that nobody ever listed has the key that msgget was given; private queues are told by their msqid."""
    tally = Tally(64)
    hear(tally, 1, {7: 0x4F560001, 8: 0, 9: 0}, sent={7: 1, 8: 2, 9: 3})
    assert (sent(tally), sent(tally, Identity(0, 8)), sent(tally, Identity(0, 9))) == (1, 2, 3)


def test_unknown_queues_ask_for_the_list() -> None:
    """A msqid without a key: the list of queues is wanted; one that is not in it is left out."""
    tally = Tally(64)
    tally.hear(line("session", 1))
    assert tally.hear(line("active", {"7": 1, "8": 1}))
    tally.hear(line("sent", {"7": 1, "8": 2}))
    assert tally.totals() == {}
    tally.learn(queues(q7=0x4F560001))
    assert tally.totals() == {KEYED: Counter(sent=1)}


def test_memory_of_the_gone_is_bounded() -> None:
    """A creator of queues without end takes no more than its share, and a queue that is there is not forgotten."""
    tally = Tally(64)
    hear(tally, 1, {1: 77}, sent={1: 1})
    for msqid in range(2, 1000):
        hear(tally, 1, {msqid: 0 if msqid % 2 else msqid}, sent={msqid: 1})
        tally.learn(queues(q5000=77))
    totals = tally.totals()
    assert len(totals) <= 64 + 4  # with the one in the print, and those that went since the last learn()
    assert totals[Identity(77, 0)]["sent"] == 1
    assert totals[Identity(0, 999)]["sent"] == 1


def test_what_found_no_room(tally: Tally) -> None:
    """Omitted and untracked calls add up over runs."""
    for session, count in ((1, 4), (1, 6), (2, 1)):
        hear(tally, session)
        tally.hear(line("omitted", count))
        tally.hear(line("untracked", 0))
    assert tally.uncounted() == Counter(omitted=7)


def test_lost_messages_of_bpftrace(tally: Tally) -> None:
    tally.hear(b'{"type": "lost_events", "data": {"events": 12}}')
    tally.hear(b'{"type": "lost_events", "data": {"events": 3}}')
    assert tally.lost == 15


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.sampled_from(["whole", "cut", "mixed", "missing"]))))
def test_any_damage(steps: list[tuple[int, bool, str]]) -> None:
    """Sends, restarts, and lines that are cut, mixed or missing: after a whole print the total is the truth, and it
    was never above it and never fell, but for what a run counted after its last whole print.
    """
    tally = Tally(64)
    tally.learn(queues(q7=0x4F560001))
    session, counted, printed, truth, last = 1, 0, 0, 0, 0
    for more, restart, damage in steps:
        if restart:
            session, counted, printed = session + 1, 0, 0
        counted += more
        text = [line("session", session), line("active", {"7": 1}), line("sent", {"7": counted})]
        if damage == "cut":
            text[0] = text[0][: 1 + more % (len(text[0]) - 1)]
        elif damage == "mixed":
            text[:2] = [text[0][:20] + text[1] + text[0][20:]]
        if damage == "whole":
            truth += counted - printed
            printed = counted
        for each in text if damage != "missing" else []:
            tally.hear(each)
        assert sent(tally) >= last
        last = sent(tally)
        assert last == truth
