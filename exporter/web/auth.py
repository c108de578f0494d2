"""basic_auth_users: passwords against bcrypt hashes, without revealing which users exist."""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

import bcrypt

_MAX_PASSWORD: Final = 72  # bytes; bcrypt takes no notice of what follows, so a longer one is refused
_MAX_REMEMBERED: Final = 128  # results of each kind


class Credentials(NamedTuple):
    """What a client presents."""

    user: bytes
    password: bytes


def credentials(header: str) -> Credentials | None:
    """Read an Authorization header; None if it holds no user and password."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return Credentials(user, password) if colon else None


class Authenticator:
    """Checks credentials: at once if it has seen them before, else by bcrypt, which takes its time.

    An unknown user costs as much time as a known one: the password is checked against the hash of one of the users, the
    same one each time, so that the cost is one of theirs. Accepted and refused credentials are remembered apart, so
    that guessing does not push out what is right; neither is kept in clear.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        """`users`: bcrypt hashes by name; at least one."""
        self._hashes = {name.encode(): hashed.encode() for name, hashed in users.items()}
        self._in_order = sorted(self._hashes.values())
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._remembered: dict[bool, OrderedDict[bytes, None]] = {True: OrderedDict(), False: OrderedDict()}
        self._one_at_a_time = threading.Lock()

    def remembered(self, given: Credentials) -> bool | None:
        """Return the result for credentials that were checked before; None for others."""
        key = self._key(given)
        with self._lock:
            for result, kept in self._remembered.items():
                if key in kept:
                    kept.move_to_end(key)
                    return result
        return None

    def check(self, given: Credentials) -> bool:
        """Return whether the user exists and the password is the user's. Slow; one runs at a time."""
        known = self._hashes.get(given.user)
        hashed = known or self._in_order[int.from_bytes(self._digest(given.user)[:8], "big") % len(self._in_order)]
        with self._one_at_a_time:
            result = self.remembered(given)  # perhaps found by the caller before
            if result is None:
                result = _matches(given.password, hashed) and known is not None
        self._remember(given, result=result)
        return result

    def _remember(self, given: Credentials, *, result: bool) -> None:
        with self._lock:
            kept = self._remembered[result]
            kept[self._key(given)] = None
            if len(kept) > _MAX_REMEMBERED:
                kept.popitem(last=False)

    def _key(self, given: Credentials) -> bytes:
        return self._digest(len(given.user).to_bytes(4, "big") + given.user + given.password)

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, hashlib.sha256)


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        right = bcrypt.checkpw(password[:_MAX_PASSWORD], hashed)
    except ValueError:  # a NUL byte, which some versions refuse
        return False
    return right and len(password) <= _MAX_PASSWORD
