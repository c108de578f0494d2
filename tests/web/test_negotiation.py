"""Content negotiation: the heaviest weight wins, and any header is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.pages import Format
from exporter.web.negotiation import content_type, wants_gzip, weighted

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "header"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        # as Prometheus 2.42 and 3 ask
        (("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), OPENMETRICS),
        (PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8"),
        # with fallback_scrape_protocol and scrape_protocols that prefer the text formats
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", TEXT),
        ("text/plain;version=1.0.0;escaping=dots;q=0.9,*/*;q=0.2",
         "text/plain; version=1.0.0; charset=utf-8; escaping=dots"),
        ("text/plain;version=1.0.0;escaping=new", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("application/openmetrics-text;version=0.0.1",
         "application/openmetrics-text; version=0.0.1; charset=utf-8"),
        # a protobuf is not offered, nor is what the future may bring
        (("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
         "application/openmetrics-text;version=2.0.0;q=0.6,text/plain;q=0.1"), TEXT),
        # weights: order does not matter, 0 is a refusal, and what is no weight counts as 0
        ("text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.2", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.001", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=high, text/plain;q=0.1", TEXT),
        ('Application/OpenMetrics-Text; Version="1.0.0"; Q=1.000', OPENMETRICS),
    ],
)  # fmt: skip
def test_content_type(accept: str, header: str) -> None:
    found = content_type(accept)
    assert found.header == header
    assert found.form is (Format.OPENMETRICS if "openmetrics" in header else Format.TEXT)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("*", True),
        ("*;q=0, gzip", True),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("identity;q=0.5, gzip;q=0.8", True),
        ("identity;q=0.8, gzip;q=0.5", False),
        ("identity, gzip", True),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert wants_gzip(header) is accepted


@given(st.text(st.sampled_from('ab*/;=q01.," \tgzipext-'), max_size=80) | st.text())
def test_any_header_is_answered(header: str) -> None:
    """With a weight from 0 to 1 for each element, and no exception."""
    content_type(header)
    wants_gzip(header)
    assert all(0 <= element.weight <= 1 for element in weighted(header))


def test_a_header_of_a_million_commas_is_cheap() -> None:
    assert len(weighted("a," * 1_000_000)) <= 32
