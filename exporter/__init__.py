"""Prometheus exporter for the System V message queues of an OpenVPN host."""

__version__ = "0.1.0"


def revision() -> str:
    """The commit that this was built from; "unknown" where the build could not tell."""
    import importlib.resources  # costs 20 ms, and openvpn-mq-hook imports this package too

    written = importlib.resources.files("exporter").joinpath("REVISION")
    return written.read_text().strip() if written.is_file() else "unknown"
