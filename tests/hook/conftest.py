"""A folder that any user may enter, which pytest's own are not."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def public() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mq-hook-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
