"""Each source is followed by a thread of its own: one that hangs concerns no other, nor the stop."""

import threading
import time
from collections.abc import Iterator

import pytest

from exporter.follow import base
from exporter.follow.base import Source
from exporter.follow.follower import Follower
from tests.support.openvpn import wait_until


class Scripted(Source):
    """Counts its polls, and hangs in one from `hang` to `release`."""

    def __init__(self) -> None:
        super().__init__()
        self.polls = 0
        self.closed = 0
        self._free = threading.Event()
        self._free.set()

    def poll(self) -> bool:
        self.polls += 1
        self._free.wait()
        return False

    def close(self) -> None:
        self.closed += 1

    def hang(self) -> None:
        """Let the next poll not return, and wait until it is there."""
        before = self.polls
        self._free.clear()
        wait_until(lambda: self.polls > before, "it hangs")

    def release(self) -> None:
        self._free.set()


@pytest.fixture
def follower() -> Iterator[Follower]:
    follower = Follower()
    yield follower
    follower.stop()


def test_a_source_that_hangs_delays_no_other(follower: Follower) -> None:
    hanging, other = Scripted(), Scripted()
    follower.add(hanging)
    hanging.hang()
    follower.add(other)
    wait_until(lambda: other.polls >= 3, "the other is polled")
    assert hanging.polls <= 2
    hanging.release()


def test_sources_come_and_go_and_the_others_are_not_disturbed(follower: Follower) -> None:
    stays, goes = Scripted(), Scripted()
    follower.add(stays)
    follower.add(goes)
    wait_until(lambda: goes.polls > 0, "it is polled")
    follower.remove(goes)
    assert goes.closed == 1
    polls, before = goes.polls, stays.polls
    wait_until(lambda: stays.polls >= before + 2, "the other goes on")
    assert goes.polls == polls
    assert stays.closed == 0
    follower.remove(goes)
    assert goes.closed == 1, "it was removed before"


def test_the_stop_is_bounded_however_many_hang(follower: Follower) -> None:
    """A source that hangs is left behind, and closed by its own thread when it comes back."""
    hanging, well = [Scripted() for _ in range(5)], Scripted()
    for source in (*hanging, well):
        follower.add(source)
    for source in hanging:
        source.hang()
    begin = time.monotonic()
    follower.stop()
    assert time.monotonic() - begin < 2
    assert well.closed == 1
    assert [source.closed for source in hanging] == [0] * 5, "nobody closes a file that is being read"
    for source in hanging:
        source.release()
    wait_until(lambda: all(source.closed == 1 for source in hanging), "their threads close them")


def test_a_source_that_hangs_says_so(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "HANGING", 0.2)
    source = Scripted()
    follower.add(source)
    source.hang()
    assert source.fault is None
    wait_until(lambda: source.fault is not None, "the fault is noticed")
    assert "a read has not returned" in str(source.fault)
    source.release()
    wait_until(lambda: source.fault is None, "it is over")
