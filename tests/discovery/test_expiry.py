"""Which end matters, if a file holds several certificates or revocation lists."""

import pytest

from exporter.discovery.expiry import end_of
from exporter.discovery.options import CertificateKind

NOW = 1000.0


@pytest.mark.parametrize(
    ("kind", "times", "expected"),
    [
        ("ca", [1200, 1100, 1300], 1100),
        ("ca", [900, 1200], 1200),  # the old one has ended, and the new one is there
        ("ca", [900, 950], 950),
        ("ca", [1000, 1001], 1001),
        ("cert", [900, 1200], 900),  # the server's own, or one of its chain: it is refused
        ("crl", [1200, 900], 900),  # clients of that CA are refused
    ],
)
def test_end_of(kind: CertificateKind, times: list[float], expected: float) -> None:
    assert end_of(kind, times, NOW) == expected
