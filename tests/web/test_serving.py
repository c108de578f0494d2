"""The HTTP side, over real sockets: what it answers, and that no client delays another."""

import contextlib
import gzip
import http.client
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.collectors.process import SelfMetrics
from exporter.config.model import Address
from exporter.exposition.families import Metric
from exporter.exposition.pages import Gathered, Pages
from exporter.web.handler import Site, accepts_gzip, compress
from exporter.web.landing import landing_page
from exporter.web.server import Server
from tests.support.program import Program, running

ONE = Metric("one", "gauge", "One.")


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with running("--collector.disable-defaults", "--collector.limits") as program:
        yield program
        assert program.stop() == 0


def test_metrics(program: Program) -> None:
    """Text 0.0.4 for whoever asks for nothing else."""
    answer = requests.get(f"{program.url}/metrics", headers={"Accept-Encoding": "identity"}, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert b"\nsysv_msgmnb_bytes " in answer.content


def test_openmetrics(program: Program) -> None:
    answer = requests.get(
        f"{program.url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}, timeout=10
    )
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    assert "sysv_msgmnb_bytes" in {family.name for family in parse_openmetrics(answer.text)}


def test_gzip(program: Program) -> None:
    """What is unzipped is the page, and its length is the one announced."""
    host, port = program.addresses()[0].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(body)
    assert b"\nsysv_msgmnb_bytes " in gzip.decompress(body)
    connection.close()


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("GZIP", True), ("br", False),
     ("gzip; q=0.000", False), ("*", True), ("identity", False)],
)  # fmt: skip
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_head(program: Program) -> None:
    """As GET, without the body; the connection stays usable."""
    with requests.Session() as session:
        answer = session.head(f"{program.url}/metrics", timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
        assert session.get(f"{program.url}/metrics", timeout=10).status_code == 200


def test_landing_page(program: Program) -> None:
    answer = requests.get(program.url, timeout=10)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert '<a href="/metrics">' in answer.text


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "/favicon.ico", "/../metrics", "/%2e"])
def test_elsewhere(program: Program, path: str) -> None:
    host, port = program.addresses()[0].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_a_query_does_not_change_the_path(program: Program) -> None:
    assert requests.get(f"{program.url}/metrics?x=1", timeout=10).status_code == 200


def test_requests_are_counted(program: Program) -> None:
    """Each scrape once, after its answer; the codes exist from the start."""
    before = program.value("promhttp_metric_handler_requests_total", code="200")
    for _ in range(3):
        program.page()
    after = program.samples()
    assert before is not None
    assert after["promhttp_metric_handler_requests_total", frozenset({("code", "200")})] == before + 4
    for code in ("400", "500", "503"):
        assert after["promhttp_metric_handler_requests_total", frozenset({("code", code)})] == 0
    assert after["promhttp_metric_handler_requests_in_flight", frozenset()] == 1


def connect(program: Program) -> socket.socket:
    host, port = program.addresses()[0].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def test_idle_and_slow_clients_delay_nobody(program: Program) -> None:
    """Fifty that say nothing, that send half a request, that do not read their answer: others are served at once."""
    clients = [connect(program) for _ in range(50)]
    try:
        for client in clients[10:30]:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        for client in clients[30:]:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        for _ in range(5):
            begin = time.monotonic()
            program.page()
            assert time.monotonic() - begin < 5  # each of them alone would hold it for 30 s
    finally:
        for client in clients:
            client.close()


def test_too_many_connections_are_closed_and_places_come_back(program: Program) -> None:
    """Threads are bounded: the 257th connection is closed; once others leave, there is room again."""
    clients = [connect(program) for _ in range(300)]
    closed = 0
    for client in clients:
        client.settimeout(0.01)
        try:
            closed += client.recv(1) == b""
        except TimeoutError:
            pass
        except ConnectionResetError:
            closed += 1
    assert closed >= 300 - 256
    threads = len(list(_tasks(program)))
    for client in clients:
        client.close()
    assert threads <= 256 + 10
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            program.page()
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    assert program.page()


def _tasks(program: Program) -> Iterator[str]:
    yield from (path.name for path in Path(f"/proc/{program.process.pid}/task").iterdir())


def test_garbage_is_no_traceback(program: Program) -> None:
    """What is not HTTP gets an error or a closed door, and no line in the log."""
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"A" * 100_000 + b"\r\n\r\n", b"\0" * 100):
        with connect(program) as client, contextlib.suppress(OSError):  # it may have hung up already
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert program.page()
    assert not [line for line in program.log if "Traceback" in line or "level=error" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(number: int) -> None:
    """Status 0, a line that says so, the port free, also with idle clients connected."""
    with running() as program:
        address = program.addresses()[0]
        idle = connect(program)
        program.page()
        begin = time.monotonic()
        assert program.stop(number) == 0
        assert time.monotonic() - begin < 10
        idle.close()
        assert [line.split(" ", 1)[1] for line in program.log][-1] == "level=info msg=stopping"
        host, port = address.rsplit(":", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)


def test_several_addresses_and_ipv6() -> None:
    with running("--web.listen-address=127.0.0.1:0", "--web.listen-address=[::1]:0") as program:
        first, second = program.addresses(2)
        assert second.startswith("[::1]:")
        for address in (first, second):
            assert requests.get(f"http://{address}/metrics", timeout=10).status_code == 200


def test_every_address_is_ipv4_and_ipv6() -> None:
    """As `:10049`, the default."""
    with running("--web.listen-address=:0") as program:
        port = program.addresses()[0].rsplit(":", 1)[1]
        for host in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{host}:{port}/metrics", timeout=10).status_code == 200


def test_another_path() -> None:
    with running("--web.telemetry-path=/m") as program:
        assert requests.get(f"{program.url}/m", timeout=10).status_code == 200
        assert requests.get(f"{program.url}/metrics", timeout=10).status_code == 404
        assert '<a href="/m">' in requests.get(program.url, timeout=10).text


def test_without_exporter_metrics() -> None:
    with running("--web.disable-exporter-metrics") as program:
        names = {name for name, _ in program.samples()}
        assert not [name for name in names if name.startswith(("process_", "python_", "promhttp_"))]
        assert {"openvpn_mq_exporter_build_info", "openvpn_mq_scrape_collector_success"} <= names


@contextmanager
def serving(gather: Callable[[], Gathered], self_metrics: SelfMetrics) -> Iterator[str]:
    """A server in this process; gives the URL of its metrics."""
    site = Site("/metrics", landing_page("/metrics", "x"), Pages(gather, compress), self_metrics)
    server = Server(Address("127.0.0.1", 0), site)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.stop()


def test_scrapes_at_once_share_one_collection() -> None:
    """While one gathers, others wait for the same result, compressed or not."""
    gathered: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def gather() -> Gathered:
        gathered.append(1)
        begun.set()
        assert go.wait(20)
        return [ONE.family([len(gathered)])]

    self_metrics = SelfMetrics(Path("/proc"), exporter_metrics=False)
    bodies: list[str] = []
    with serving(gather, self_metrics) as url:

        def scrape(encoding: str) -> None:
            bodies.append(requests.get(url, headers={"Accept-Encoding": encoding}, timeout=30).text)

        threads = [threading.Thread(target=scrape, args=(encoding,)) for encoding in ("gzip", "identity") * 4]
        for thread in threads:
            thread.start()
        assert begun.wait(20)
        deadline = time.monotonic() + 20
        while self_metrics._open < 8 and time.monotonic() < deadline:  # noqa: SLF001  # until all eight have come
            time.sleep(0.01)
        time.sleep(0.2)  # from there to the waiting line is a few microseconds
        go.set()
        for thread in threads:
            thread.join(30)
    assert len(gathered) == 1
    assert len(bodies) == 8
    assert {body.splitlines()[-1] for body in bodies} == {"one 1"}


def test_a_page_that_cannot_be_made_is_500() -> None:
    """And the next request is served on the same connection."""
    outcomes = iter([RuntimeError("no"), [ONE.family([1])]])

    def gather() -> Gathered:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with serving(gather, SelfMetrics(Path("/proc"), exporter_metrics=False)) as url, requests.Session() as session:
        assert [session.get(url, timeout=10).status_code for _ in range(2)] == [500, 200]


def test_places_come_back_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """More often than there are places, and the log says why the connections were closed."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving(lambda: [ONE.family([1])], SelfMetrics(Path("/proc"), exporter_metrics=False)) as url:
        host, port = url.split("/")[2].split(":")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            for _ in range(300):
                with socket.create_connection((host, int(port)), timeout=10) as client, contextlib.suppress(OSError):
                    assert client.recv(1) == b""
        assert requests.get(url, timeout=10).status_code == 200


def test_an_error_of_our_own_is_logged_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disconnect is not; a fault outside of the page is, with its traceback."""
    monkeypatch.setattr("exporter.web.handler.Handler.do_GET", lambda _self: 1 // 0)
    self_metrics = SelfMetrics(Path("/proc"), exporter_metrics=False)
    with serving(list, self_metrics) as url, contextlib.suppress(requests.RequestException):
        requests.get(url, timeout=10)
    assert [record.levelname for record in caplog.records if record.getMessage() == "connection failed"] == ["ERROR"]
