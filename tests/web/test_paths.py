"""What there is at which path, by which method, and what every answer carries."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from exporter.exposition.families import Family, Metric
from exporter.exposition.pages import Gathered, Query
from tests.support.web import Serving, serving

ONE = Metric("one", "gauge", "One.")
TWO = Metric("two", "gauge", "Two.")
NAMES = ("alpha", "beta")


def gather(query: Query) -> Gathered:
    """Family `one` is alpha's, family `two` beta's."""
    families: list[Family] = [ONE.family([1]), TWO.family([2])]
    return [
        family
        for name, family in zip(NAMES, families, strict=True)
        if query.collectors is None or name in query.collectors
    ]


@pytest.fixture(scope="module")
def site() -> Iterator[Serving]:
    with serving(gather) as site:
        yield site


def ask(site: Serving, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Without any of the help that a library gives."""
    connection = http.client.HTTPConnection(*site.address, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), body


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/metrics", 200, None),
        ("HEAD", "/metrics", 200, None),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("DELETE", "/metrics", 405, "GET, HEAD"),
        ("GET", "/", 200, None),
        ("PUT", "/", 405, "GET, HEAD"),
        ("GET", "/-/healthy", 200, None),
        ("HEAD", "/-/ready", 200, None),
        ("POST", "/-/ready", 405, "GET, HEAD"),
        ("POST", "/-/reload", 200, None),
        ("GET", "/-/reload", 405, "POST"),
        ("GET", "/-/quit", 404, None),
        ("POST", "/elsewhere", 404, None),
        ("OPTIONS", "/metrics/", 404, None),
    ],
)
def test_paths_and_methods(site: Serving, method: str, path: str, status: int, allow: str | None) -> None:
    found, headers, body = ask(site, method, path)
    assert found == status
    assert headers.get("Allow") == allow
    assert "Date" in headers
    assert bool(body) == (method != "HEAD")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["one", "two"]),
        ("?collect[]=alpha", ["one"]),
        ("?collect%5B%5D=alpha&collect[]=beta", ["one", "two"]),
        ("?exclude[]=alpha", ["two"]),
        ("?name[]=two", ["two"]),
        ("?collect[]=alpha&name[]=two", []),
        ("?other=1", ["one", "two"]),
    ],
)
def test_a_part_of_the_page(site: Serving, query: str, shown: list[str]) -> None:
    status, _, body = ask(site, "GET", f"/metrics{query}")
    assert status == 200
    assert [line.split()[0] for line in body.decode().splitlines() if not line.startswith("#")] == shown


@pytest.mark.parametrize("query", ["collect[]=gamma", "exclude[]=gamma", "collect[]=alpha&exclude[]=beta"])
def test_a_wrong_query_is_400_and_counted(site: Serving, query: str) -> None:
    def refused() -> float:
        counter = next(iter(site.accounting.collect()))
        return next(sample.value for sample in counter.samples if sample.labels["code"] == "400")

    before = refused()
    status, _, body = ask(site, "GET", f"/metrics?{query}")
    assert status == 400
    assert body.endswith(b"\n")
    assert refused() == before + 1


def exchange(site: Serving, sent: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    with socket.create_connection(site.address, timeout=10) as client:
        client.sendall(sent)
        received = b""
        while data := client.recv(65536):
            received += data
        return received


def test_requests_in_a_row(site: Serving) -> None:
    """Sent at once on one connection: each answered, in order, until the one that asks to close."""
    received = exchange(
        site,
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    answers = received.split(b"HTTP/1.1 ")[1:]
    assert [int(answer[:3]) for answer in answers] == [200, 200, 404]
    assert [b"Connection: close" in answer for answer in answers] == [False, False, True]


def test_http_1_0(site: Serving) -> None:
    """Closed behind the answer, as such a client expects."""
    received = exchange(site, b"GET /-/healthy HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in received


def test_a_body_is_not_mistaken_for_a_request(site: Serving) -> None:
    """It is thrown away with the connection, and the answer arrives all the same."""
    body = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    received = exchange(site, b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"reloaded" in received


def test_a_large_upload_gets_its_answer(site: Serving) -> None:
    """Not a reset, which a plain close would be."""
    head = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    assert exchange(site, head + bytes(300_000)).startswith(b"HTTP/1.1 405 ")


def test_headers_and_rate_limit(tmp_path: Path) -> None:
    """On every answer, refusals included; one request more than the burst is 429, and time heals it."""
    config = tmp_path / "web.yml"
    config.write_text(
        "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'self'}}\n"
        "rate_limit: {interval: 500ms, burst: 3}\n"
    )
    with serving(gather, web_config=config) as site:
        answers = [requests.get(site.url, timeout=10) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert {answer.headers["X-Frame-Options"] for answer in answers} == {"deny"}
        assert {answer.headers["Content-Security-Policy"] for answer in answers} == {"default-src 'self'"}
        time.sleep(0.6)
        assert requests.get(site.url, timeout=10).status_code == 200


def test_a_reload_that_takes_long_is_not_done_twice() -> None:
    """The second one is told to come back; scrapes go on meanwhile."""
    begun, go = threading.Event(), threading.Event()

    def reload() -> None:
        begun.set()
        assert go.wait(20)

    with serving(gather, reload=reload) as site:
        url = site.url.replace("/metrics", "/-/reload")
        statuses: list[int] = []
        first = threading.Thread(target=lambda: statuses.append(requests.post(url, timeout=30).status_code))
        first.start()
        assert begun.wait(20)
        assert requests.post(url, timeout=10).status_code == 503
        assert requests.get(site.url, timeout=10).status_code == 200
        go.set()
        first.join(20)
        assert statuses == [200]


def test_a_stop_finishes_the_answers_under_way() -> None:
    """A scrape that has begun is answered; idle connections are closed, new ones are refused."""
    begun, go = threading.Event(), threading.Event()

    def slow(_query: Query) -> Gathered:
        begun.set()
        assert go.wait(20)
        return [ONE.family([1])]

    with serving(slow) as site, socket.create_connection(site.address, timeout=10) as idle:
        answers: list[requests.Response] = []
        scrape = threading.Thread(target=lambda: answers.append(requests.get(site.url, timeout=30)))
        scrape.start()
        assert begun.wait(20)
        stop = threading.Thread(target=site.server.stop, args=(10,))
        stop.start()
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(site.address, timeout=10)
        go.set()
        scrape.join(20)
        stop.join(20)
        assert [answer.status_code for answer in answers] == [200]
        assert answers[0].headers["Connection"] in ("close", "keep-alive")  # it was chosen before the stop


def test_a_stop_does_not_wait_for_ever() -> None:
    go = threading.Event()

    def stuck(_query: Query) -> Gathered:
        assert go.wait(20)
        return []

    with serving(stuck) as site:

        def lose() -> None:
            with pytest.raises(requests.ConnectionError):
                requests.get(site.url, timeout=30)

        scrape = threading.Thread(target=lose)
        scrape.start()
        while not site.accounting.in_flight:
            time.sleep(0.01)
        begin = time.monotonic()
        site.server.stop(0.3)
        assert time.monotonic() - begin < 2
        scrape.join(20)
        go.set()
