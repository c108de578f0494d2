"""HTTP requests: what is read, what is refused with which status, and that nothing else can happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.query import read_query
from exporter.web.request import MAX_HEAD, MAX_LINE, BadRequestError, Request, parse, take_request


def request(text: str) -> Request:
    return parse(text.replace("\n", "\r\n").encode("latin-1"))


def refusal(text: str) -> int:
    with pytest.raises(BadRequestError) as refused:
        request(text)
    return refused.value.status


def test_a_request() -> None:
    found = request("GET /met%72ics?a=1&a=%20&b HTTP/1.1\nHost: x\nACCEPT: a\naccept:b \n\n")
    assert found == Request(
        "GET", "/metrics", (("a", "1"), ("a", " "), ("b", "")), {"host": "x", "accept": "a,b"}, True
    )
    assert found.values("a") == ["1", " "]


def test_a_request_to_a_proxy() -> None:
    """In absolute form, as RFC 9112 asks every server to take it."""
    assert request("GET http://host:1/metrics?x HTTP/1.1\nHost: y\n\n").path == "/metrics"
    assert request("GET http://host HTTP/1.1\nHost: y\n\n").path == "/"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("GET / HTTP/1.1\nHost: x\n\n", True),
        ("GET / HTTP/1.1\nHost: x\nConnection: foo, Close\n\n", False),
        ("GET / HTTP/1.0\n\n", False),
        ("GET / HTTP/1.0\nConnection: keep-alive\n\n", True),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", True),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\n", False),
        ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n", False),
    ],
)
def test_keep_alive(text: str, kept: bool) -> None:
    """A body is not read, so that the connection cannot go on behind one."""
    assert request(text).keep_alive is kept


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET\n\n", 400),
        ("GET /\n\n", 400),
        ("GET  / HTTP/1.1\nHost: x\n\n", 400),
        ("GET / HTTP/1.1 \nHost: x\n\n", 400),
        ("G(T / HTTP/1.1\nHost: x\n\n", 400),
        ("GET /\x7f HTTP/1.1\nHost: x\n\n", 400),
        ("GET /\xe4 HTTP/1.1\nHost: x\n\n", 400),
        ("GET / HTTP/2.0\nHost: x\n\n", 505),
        ("GET / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nHost: y\n\n", 400),
        ("GET / HTTP/1.1\nHost : x\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\n folded\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nA: \0\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nA: b\rC: d\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: -1\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 1, 1\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 1\nTransfer-Encoding: chunked\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\n" + "A: b\n" * 100 + "\n", 431),
        ("GET /?" + "a&" * 300 + " HTTP/1.1\nHost: x\n\n", 400),
    ],
)
def test_refused(text: str, status: int) -> None:
    assert refusal(text) == status


def test_limits_hold_before_the_end_has_come() -> None:
    """A line or a head that does not end is refused as soon as it is too long."""
    with pytest.raises(BadRequestError) as refused:
        take_request(bytearray(b"GET /" + b"a" * MAX_LINE))
    assert refused.value.status == 414
    with pytest.raises(BadRequestError) as refused:
        take_request(bytearray(b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD))
    assert refused.value.status == 431


HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@given(st.integers(0, 3), st.data())
def test_requests_come_out_however_they_come_in(count: int, data: st.DataObject) -> None:
    """In pieces of any size, several at once, with empty lines between them."""
    sent = b"\r\n" * data.draw(st.integers(0, 2)) + (HEAD + b"\r\n") * count
    buffer, found = bytearray(), 0
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        buffer += sent[:size]
        sent = sent[size:]
        while take_request(buffer):
            found += 1
    assert found == count
    assert bytes(buffer) in (b"", b"\r", b"\r\n")


pieces = st.sampled_from(
    [
        b"GET ",
        b"/metrics",
        b" HTTP/1.1",
        b"\r\n",
        b"\r",
        b"\n",
        b"Host: x",
        b":",
        b"Content-Length: 5",
        b"%",
        b"?a[]=",
        b"\0",
    ]
)


@given(st.lists(pieces | st.binary(max_size=20), max_size=30).map(b"".join))
def test_any_bytes_are_a_request_a_refusal_or_a_beginning(data: bytes) -> None:
    """Nothing else is raised, and what is left is no more than what came."""
    buffer = bytearray(data)
    statuses = []
    try:
        if found := take_request(buffer):
            read_query(found, ["alpha"])
    except BadRequestError as refused:
        statuses.append(refused.status)
    assert set(statuses) <= {400, 414, 431, 505}
    assert len(buffer) <= len(data)


def query(text: str, **headers: str) -> object:
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return read_query(request(f"GET /metrics?{text} HTTP/1.1\nHost: x\n{lines}\n"), ["alpha", "beta", "gamma"])


def test_collectors_of_a_query() -> None:
    assert query("").collectors is None  # type: ignore[attr-defined]
    assert query("collect[]=alpha&collect[]=beta") == query("exclude[]=gamma")
    for wrong in ("collect[]=alpha&exclude[]=beta", "collect[]=delta", "exclude[]=", "collect[]=Alpha"):
        with pytest.raises(BadRequestError):
            query(wrong)


@pytest.mark.parametrize(
    ("header", "timeout"),
    [("10", 9.5), ("10.000000", 9.5), ("1", 0.9), ("0.5", 0.45), ("", None), ("0", None), ("-1", None), ("nan", None),
     ("inf", None), ("ten", None), ("1e400", None)],
)  # fmt: skip
def test_timeout_of_a_query(header: str, timeout: float | None) -> None:
    """Somewhat less than Prometheus waits: the page has to be rendered, and sent."""
    assert query("", X_Prometheus_Scrape_Timeout_Seconds=header).timeout == timeout  # type: ignore[attr-defined]
