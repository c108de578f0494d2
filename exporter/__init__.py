"""Prometheus exporter for the System V message queues of an OpenVPN host."""

import importlib.resources

__version__ = "0.1.0"


def revision() -> str:
    """The commit that this was built from; "unknown" where the build could not tell."""
    written = importlib.resources.files("exporter").joinpath("REVISION")
    return written.read_text().strip() if written.is_file() else "unknown"
