"""HTTP requests: what is read, what is refused with which status, and that nothing else can happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.http1 import MAX_HEAD, Http1
from exporter.web.query import read_query
from exporter.web.request import BadRequestError, Request
from exporter.web.response import Response, plain


def received(data: bytes) -> Http1:
    http = Http1()
    if data:
        http.receive(data)
    return http


def request(text: str) -> Request:
    found = received(text.replace("\n", "\r\n").encode("latin-1")).next_request()
    assert found
    return found


def refusal(text: str) -> int:
    with pytest.raises(BadRequestError) as refused:
        request(text)
    return refused.value.status


def test_a_request() -> None:
    found = request("GET /met%72ics?a=1&a=%20&b HTTP/1.1\nHost: x\nACCEPT: a\naccept:b \n\n")
    assert found == Request("GET", "/metrics", (("a", "1"), ("a", " "), ("b", "")), {"host": "x", "accept": "a,b"})
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
        ("GET / HTTP/1.0\nConnection: keep-alive\n\n", False),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", True),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\n", False),
        ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n", False),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 1\nTransfer-Encoding: chunked\n\n", False),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n", False),
    ],
)
def test_keep_alive(text: str, kept: bool) -> None:
    """A body is not read, so that the connection cannot go on behind one; the client is told."""
    for close in (False, True):
        http = received(text.replace("\n", "\r\n").encode())
        assert http.next_request()
        parts, goes_on = http.answer(plain(200, "yes"), close=close)
        assert goes_on is (kept and not close)
        assert (b"\r\nConnection: close\r\n" in b"".join(parts)) is not goes_on


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
        ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: gzip\n\n", 501),
        ("CONNECT / HTTP/1.1\nHost: x\n\n", 400),
        ("GET / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nHost: y\n\n", 400),
        ("GET / HTTP/1.1\nHost : x\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nA: \0\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nA: b\rC: d\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: -1\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nContent-Length: 1, 2\n\n", 400),
        ("GET / HTTP/1.1\nHost: x\nAuthorization: a\nAuthorization: b\n\n", 400),
        ("GET /?" + "a&" * 300 + " HTTP/1.1\nHost: x\n\n", 400),
    ],
)
def test_refused(text: str, status: int) -> None:
    assert refusal(text) == status


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nA: "])
def test_limits_hold_before_the_end_has_come(start: bytes) -> None:
    """A line or a head that does not end is refused as soon as it is too long."""
    http = received(start + b"a" * (MAX_HEAD - len(start)))
    assert http.next_request() is None
    http.receive(b"a")
    with pytest.raises(BadRequestError) as refused:
        http.next_request()
    assert refused.value.status == 431


def test_the_number_of_lines_is_limited() -> None:
    """Of one request: those of others behind it do not count. It is refused before its end has come."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: \r\n" * 98
    http = received((head + b"\r\n") * 2)
    for _ in range(2):
        assert http.next_request()
        http.answer(plain(200, "yes"), close=False)
    http.receive(head)
    assert http.next_request() is None
    http.receive(b"A: \r\n")
    with pytest.raises(BadRequestError) as refused:
        http.next_request()
    assert refused.value.status == 431


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"\0", b"GET / HTTP/2.0\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"])
def test_a_refusal_can_be_answered_and_ends_the_connection(data: bytes) -> None:
    """A TLS client's first bytes are refused at once, and not when a line's end has come."""
    http = received(data)
    with pytest.raises(BadRequestError) as refused:
        http.next_request()
    parts, goes_on = http.answer(plain(refused.value.status, "no"), close=True)
    assert not goes_on
    assert b"".join(parts).startswith(f"HTTP/1.1 {refused.value.status} ".encode())
    assert b"".join(parts).endswith(b"\r\nConnection: close\r\n\r\nno\n")


@pytest.mark.parametrize("sizes", [(), (0,), (5, 0, 7), (100_000, 200_000)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer(sizes: tuple[int, ...], method: str) -> None:
    """Its length is announced, also to HEAD; large parts are sent as they are, without a copy."""
    http = received(HEAD.replace(b"GET", method.encode()) * 2)
    body = [b"x" * size for size in sizes]
    for _ in range(2):
        assert http.next_request()
        parts, goes_on = http.answer(Response(200, "text/plain", body, (("X-Some", "thing"),)), close=False)
        assert goes_on
        head, _, rest = b"".join(parts).partition(b"\r\n\r\n")
        assert rest == (b"".join(body) if method == "GET" else b"")
        assert f"Content-Length: {sum(sizes)}".encode() in head.split(b"\r\n")
        assert b"X-Some: thing" in head.split(b"\r\n")
        if method == "GET" and sum(sizes) > 256 * 1024:
            assert {id(part) for part in body} <= {id(part) for part in parts}
    assert http.next_request() is None


HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@given(st.integers(0, 3), st.data())
def test_requests_come_out_however_they_come_in(count: int, data: st.DataObject) -> None:
    """In pieces of any size, several at once."""
    sent = HEAD * count
    http, found = Http1(), 0
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        http.receive(sent[:size])
        sent = sent[size:]
        while http.next_request():
            http.answer(plain(200, "yes"), close=False)
            found += 1
    assert found == count
    assert http.pending == 0


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
    """Nothing else is raised, each can be answered, and what is left is no more than what came."""
    http = received(data)
    status = 200
    try:
        if found := http.next_request():
            read_query(found, ["alpha"])
    except BadRequestError as refused:
        status = refused.status
    else:
        if not found:
            return
    assert status in {200, 400, 431, 501, 505}
    assert b"".join(http.answer(plain(status, "so"), close=False)[0]).startswith(f"HTTP/1.1 {status} ".encode())
    assert http.pending <= len(data)


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
     ("inf", None), ("ten", None), ("1e400", None), ("1e-300", 0.09), ("1e10", 3599.5), ("1e300", 3599.5)],
)  # fmt: skip
def test_timeout_of_a_query(header: str, timeout: float | None) -> None:
    """Somewhat less than Prometheus waits: the page has to be rendered, and sent."""
    assert query("", X_Prometheus_Scrape_Timeout_Seconds=header).timeout == timeout  # type: ignore[attr-defined]
