"""What is tried with both releases of Prometheus and Alertmanager."""

import pytest

from tests.support.releases import RELEASES, Release


@pytest.fixture(scope="module", params=["old", pytest.param("new", marks=pytest.mark.slow)])
def release(request: pytest.FixtureRequest) -> Release:
    """The old one, and then the new one."""
    found = RELEASES[request.param]
    found.need()
    return found
