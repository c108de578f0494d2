"""A folder that every user may enter; pytest's own are closed to all but root, and closed again by each new run."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_folder(below: str | None = None) -> Iterator[Path]:
    """Make one, and remove it with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="mq-open-", dir=below))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
