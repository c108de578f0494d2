"""Certificates and passwords for the tests of the web side."""

from pathlib import Path

import bcrypt
import pytest

from tests.support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def hashed(password: str, cost: int = 4) -> str:
    """As htpasswd -B writes it; cost 4 is the cheapest there is."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$", 1)
