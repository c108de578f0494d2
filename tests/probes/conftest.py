"""What the tests of polls share."""

from pathlib import Path

import pytest

from exporter.config.model import UnixAddress


@pytest.fixture
def address(tmp_path: Path) -> UnixAddress:
    return UnixAddress(str(tmp_path / "management.sock"))
