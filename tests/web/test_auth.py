"""Passwords: right and wrong ones, what is remembered, and what time tells."""

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.families import Metric
from exporter.web import auth
from exporter.web.auth import Authenticator, Credentials, credentials
from tests.support.web import serving
from tests.web.conftest import hashed

ONE = Metric("one", "gauge", "One.")


def test_right_and_wrong() -> None:
    """Also the second time, when nothing is computed."""
    authenticator = Authenticator({"ann": hashed("right"), "bob": hashed("other")})
    for _ in range(2):
        assert authenticator.check(Credentials(b"ann", b"right"))
        assert not authenticator.check(Credentials(b"ann", b"other"))
        assert not authenticator.check(Credentials(b"eve", b"right"))
        assert not authenticator.check(Credentials(b"", b""))
    assert authenticator.remembered(Credentials(b"ann", b"right")) is True
    assert authenticator.remembered(Credentials(b"ann", b"other")) is False
    assert authenticator.remembered(Credentials(b"ann", b"never seen")) is None


def test_user_and_password_are_kept_apart() -> None:
    """`a` with `bc` is not `ab` with `c`."""
    authenticator = Authenticator({"a": hashed("bc"), "ab": hashed("x")})
    assert authenticator.check(Credentials(b"a", b"bc"))
    assert authenticator.remembered(Credentials(b"ab", b"c")) is None


def test_long_passwords() -> None:
    """Bcrypt looks at 72 bytes: a password that goes on behind them is refused, not cut, and is no error."""
    authenticator = Authenticator({"ann": hashed("x" * 72)})
    assert authenticator.check(Credentials(b"ann", b"x" * 72))
    assert not authenticator.check(Credentials(b"ann", b"x" * 73))
    assert not authenticator.check(Credentials(b"ann", b"x" * 10_000))
    assert not authenticator.check(Credentials(b"ann", b"nul\0"))


def test_what_is_remembered_is_bounded_and_guessing_does_not_push_it_out() -> None:
    authenticator = Authenticator({"ann": hashed("right")})
    assert authenticator.check(Credentials(b"ann", b"right"))
    for number in range(300):
        assert not authenticator.check(Credentials(b"ann", b"%d" % number))
    assert authenticator.remembered(Credentials(b"ann", b"right")) is True
    assert authenticator.remembered(Credentials(b"ann", b"0")) is None
    assert authenticator.remembered(Credentials(b"ann", b"299")) is False


def test_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of those that ask the same at once, only the first has it computed."""
    running, most, calls = 0, 0, 0
    lock = threading.Lock()

    def slow(_password: bytes, _hashed: bytes) -> bool:
        nonlocal running, most, calls
        with lock:
            running, calls = running + 1, calls + 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(auth, "_matches", slow)
    authenticator = Authenticator({"ann": hashed("right")})
    with ThreadPoolExecutor(8) as threads:
        asked = [Credentials(b"ann", b"%d" % (number % 4)) for number in range(16)]
        assert all(threads.map(authenticator.check, asked))
    assert (most, calls) == (1, 4)


def test_unknown_users_take_as_long_as_known_ones() -> None:
    """By the median of tries in turn; with one cost for all, and with the costs of several users."""
    authenticator = Authenticator({"ann": hashed("right", 8)})
    taken: dict[bytes, list[float]] = {b"ann": [], b"eve": []}
    for number in range(20):
        for user, times in taken.items():
            begin = time.thread_time()
            assert not authenticator.check(Credentials(user, b"wrong %d" % number))
            times.append(time.thread_time() - begin)
    known, unknown = median(taken[b"ann"]), median(taken[b"eve"])
    assert known > 0.005  # it is bcrypt that is measured
    assert abs(known - unknown) / known < 0.1


def test_an_unknown_user_costs_the_same_each_time() -> None:
    """As each known one does: with different costs, a cost that changes would tell."""
    authenticator = Authenticator({"ann": hashed("right", 4), "bob": hashed("right", 9)})
    for user in (b"eve", b"mallory", b"trent", b"peggy"):
        times = []
        for number in range(4):
            begin = time.thread_time()
            authenticator.check(Credentials(user, b"%d" % number))
            times.append(time.thread_time() - begin)
        assert max(times) < 5 * min(times)  # cost 9 takes 32 times what cost 4 takes


@given(st.text())
def test_any_header_is_credentials_or_none(header: str) -> None:
    credentials(header)
    credentials(f"Basic {header}")


@given(st.binary().filter(lambda user: b":" not in user), st.binary())
def test_credentials_come_back(user: bytes, password: bytes) -> None:
    encoded = base64.b64encode(user + b":" + password).decode()
    assert credentials(f"basic  {encoded}") == Credentials(user, password)


def test_guessing_delays_nobody_who_is_known(tmp_path: Path) -> None:
    """While passwords are guessed as fast as it goes, a scrape with the right one is served at once."""
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{ann: {hashed('right', 10)}}}\n")
    with serving(lambda _query: [ONE.family([1])], web_config=config) as site:
        assert requests.get(site.url, auth=("ann", "right"), timeout=10).status_code == 200
        stop = threading.Event()
        statuses: list[int] = []

        def guess(number: int) -> None:
            with requests.Session() as session:
                while not stop.is_set():
                    number += 100
                    statuses.append(session.get(site.url, auth=("ann", str(number)), timeout=30).status_code)

        guessing = [threading.Thread(target=guess, args=(number,)) for number in range(40)]
        for thread in guessing:
            thread.start()
        time.sleep(0.5)
        begin = time.monotonic()
        for _ in range(5):
            assert requests.get(site.url, auth=("ann", "right"), timeout=10).status_code == 200
        assert time.monotonic() - begin < 5  # the line before the hash is 32 tries long, of a tenth of a second each
        stop.set()
        for thread in guessing:
            thread.join(30)
    assert set(statuses) <= {401, 503}
