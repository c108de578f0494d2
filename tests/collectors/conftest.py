"""A lab for a test."""

from collections.abc import Iterator

import pytest

from tests.support.openvpn import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab
