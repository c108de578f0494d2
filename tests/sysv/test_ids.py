"""Names of accounts never hold a scrape up."""

import os
import threading
import time

from exporter.sysv import ids
from exporter.sysv.ids import AccountNames, group_name, user_name


def test_local_names_are_known_at_once() -> None:
    names = AccountNames()
    names.start()
    try:
        assert names.users([0, 0, 4242424]) == ("root", "root", "4242424")
        assert names.groups([0]) == ("root",)
    finally:
        names.stop()


def test_a_number_without_a_name() -> None:
    assert user_name(4242424) == "4242424"
    assert group_name(4242424) == "4242424"
    assert user_name(2**32 + 5) == str(2**32 + 5)


def test_a_look_up_that_hangs_costs_a_scrape_a_moment_once() -> None:
    """The first scrape that meets the id waits a tenth of a second, later ones not at all; then the name is there."""
    answer = threading.Event()

    def slow(uid: int) -> str:
        answer.wait()
        return f"user{uid}"

    names = AccountNames({"user": slow, "group": group_name})
    names.start()
    try:
        start = time.monotonic()
        assert names.users([7]) == ("7",)
        assert time.monotonic() - start < 2
        version = names.version
        start = time.monotonic()
        for _ in range(20):
            assert names.users([7]) == ("7",)
        assert time.monotonic() - start < 1
        answer.set()
        while names.version == version:
            time.sleep(0.01)
        assert names.users([7]) == ("user7",)
    finally:
        answer.set()
        names.stop()


def test_names_are_looked_up_again_and_unused_ones_forgotten() -> None:
    now = [0.0]
    asked: list[int] = []
    name = ["before"]

    def look_up(uid: int) -> str:
        asked.append(uid)
        return name[0]

    names = AccountNames({"user": look_up, "group": look_up}, clock=lambda: now[0])
    names.start()
    try:
        assert names.users([1]) == ("before",)
        assert names.users([1]) == ("before",)
        assert asked == [1]
        name[0], now[0] = "after", 301.0
        while names.users([1]) != ("after",):
            time.sleep(0.01)
        assert asked == [1, 1]
        now[0] = 602.0
        while len(asked) < 3:
            time.sleep(0.01)
        now[0] = 903.0  # nobody asked for it since the last refresh
        time.sleep(1.2)
        assert asked == [1, 1, 1]
    finally:
        names.stop()


def test_this_process_has_a_name() -> None:
    assert ids.LOOK_UP["user"](os.getuid()) == user_name(os.getuid())
