"""Missed updates, against schedules that the test makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.openvpn.freshness import Freshness, grace

START = 1_795_466_409.0


def watch(freshness: Freshness, updates: list[float], until: float, pause: float, *, skew: float = 0.0) -> None:
    """Look every `pause` seconds at a file that is written at `updates`; `skew` is how far its clock is ahead."""
    steps = int(until / pause)
    for step in range(steps + 1):
        now = step * pause
        written = [update for update in updates if update <= now]
        shown = START + int(written[-1]) + skew if written else None
        freshness.observe(shown, wall=START + now, clock=now)


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=12),
    st.sampled_from([4.0, 10.0, 60.0]),
    st.sampled_from([3.0, 4.0, 7.9]),
    st.sampled_from([0.0, 7200.0, -7200.0]),
)
def test_missed_is_what_did_not_come(steps: list[int], interval: float, per_interval: float, skew: float) -> None:
    """Updates come on time or are left out; the file's zone may be wrong by hours.

    A file that seems hours old at the first look may cost one: it could as well be that nothing is written.
    """
    freshness = Freshness(interval, 0.0)
    updates = [0.0]
    for step in steps:
        updates.append(updates[-1] + step * interval)
    watch(freshness, updates, updates[-1], interval / per_interval, skew=skew)
    assert freshness.missed - sum(step - 1 for step in steps) in ([0, 1] if skew < 0 else [0])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), st.sampled_from([1.0, 2.0, 60.0]))
def test_updates_that_are_up_to_a_second_late_are_not_missed(late: list[float], interval: float) -> None:
    freshness = Freshness(interval, 0.0)
    updates = [0.0]
    for delay in late:
        updates.append(updates[-1] + interval + delay)
    watch(freshness, updates, updates[-1], interval / 4)
    assert freshness.missed == 0


@pytest.mark.parametrize(("silent", "missed"), [(60.0, 0), (89.0, 0), (90.0, 1), (149.0, 1), (150.0, 2), (600.0, 9)])
def test_missed_grows_while_nothing_comes(silent: float, missed: int) -> None:
    freshness = Freshness(60.0, 0.0)
    watch(freshness, [0.0], silent, 1.0)
    assert freshness.missed == missed
    assert (silent >= freshness.stale_from) == (missed > 0)


def test_what_was_overdue_before_watching_is_not_counted_but_stale() -> None:
    freshness = Freshness(60.0, 1000.0)
    freshness.observe(START - 86400, wall=START, clock=1000.0)
    assert freshness.stale_from < 1000.0
    assert freshness.missed == 0
    freshness.observe(START - 86400, wall=START + 130, clock=1130.0)
    assert freshness.missed == 2


def test_a_file_that_never_comes_misses_its_updates() -> None:
    freshness = Freshness(60.0, 0.0)
    watch(freshness, [], 155.0, 15.0)
    assert freshness.missed == 2
    assert freshness.stale_from < 155.0


def test_a_clock_that_is_set_misses_nothing() -> None:
    freshness = Freshness(60.0, 0.0)
    freshness.observe(START, wall=START, clock=0.0)
    freshness.observe(START, wall=START + 3600 * 5 + 30, clock=30.0)
    freshness.observe(START + 3600 * 5 + 60, wall=START + 3600 * 5 + 60, clock=59.0)
    assert freshness.missed == 0
    freshness.observe(START + 120, wall=START + 120, clock=118.0)
    assert freshness.missed == 0
    assert freshness.stale_from > 118.0


def test_grace_is_half_the_interval_and_at_least_two_seconds() -> None:
    assert (grace(1.0), grace(4.0), grace(60.0)) == (2.0, 2.0, 30.0)
