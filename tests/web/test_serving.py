"""The HTTP side, over real sockets: what it answers, and that no client delays another."""

import contextlib
import gzip
import http.client
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.exposition.families import Metric
from exporter.exposition.pages import Gathered, Query
from tests.support.program import Program, running
from tests.support.web import serving

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


def test_idle_connections_keep_nobody_out() -> None:
    """More than there are places: the oldest are closed, new ones are served, threads and descriptors stay few."""
    with running("--collector.disable-defaults", "--collector.limits") as program:
        program.page()
        before = descriptors(program)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(program)) for _ in range(700)]
            assert program.page()
            assert descriptors(program) <= before + 600
            assert sum(map(is_closed, clients[:100])) >= 90
            assert not any(map(is_closed, clients[-100:]))
            assert len(list(Path(f"/proc/{program.process.pid}/task").iterdir())) < 30
        deadline = time.monotonic() + 20
        while descriptors(program) > before + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert descriptors(program) <= before + 2
        assert program.stop() == 0


@pytest.mark.parametrize("requests_each", [1, 2000])
def test_clients_that_do_not_listen_keep_nobody_out(monkeypatch: pytest.MonkeyPatch, requests_each: int) -> None:
    """They hold all places with answers that they do not take, or with request after request; a newcomer is served."""
    monkeypatch.setattr("exporter.web.connections._MOST", 20)
    large = Metric("large", "gauge", "Large.", ("name",))
    family = large.family([1] * 50, ["x" * 100_000] * 50)
    with serving(lambda _query: [family]) as site, contextlib.ExitStack() as stack:
        path = b"/metrics" if requests_each == 1 else b"/-/healthy"
        clients = [stack.enter_context(socket.socket()) for _ in range(20)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(site.address)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path * requests_each)
        for client in clients:
            client.settimeout(20)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert requests.get(f"http://{site.address[0]}:{site.address[1]}/-/ready", timeout=20).status_code == 200


def test_without_descriptors_it_waits_and_goes_on() -> None:
    """Connections stay in line, no processor time is burnt, one line is logged; then they are served."""
    with running("--collector.disable-defaults", "--collector.limits") as program:
        program.page()
        time.sleep(0.5)  # until the connection of that is gone
        limits = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
        lowest = max(int(path.name) for path in Path(f"/proc/{program.process.pid}/fd").iterdir()) + 1
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
        with connect(program) as client:
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            client.settimeout(1.5)
            before = processor_time(program)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert processor_time(program) - before < 0.5
            resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, limits)
            client.settimeout(10)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert program.stop() == 0
        assert len([line for line in program.log if "cannot accept connections: Too many open files" in line]) == 1


def processor_time(program: Program) -> float:
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(program: Program) -> int:
    return len(list(Path(f"/proc/{program.process.pid}/fd").iterdir()))


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


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


def test_scrapes_at_once_share_one_collection() -> None:
    """While one gathers, others wait for the same result, compressed or not."""
    gathered: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def gather(_query: Query) -> Gathered:
        gathered.append(1)
        begun.set()
        assert go.wait(20)
        return [ONE.family([len(gathered)])]

    bodies: list[str] = []
    with serving(gather) as site:

        def scrape(encoding: str) -> None:
            bodies.append(requests.get(site.url, headers={"Accept-Encoding": encoding}, timeout=30).text)

        threads = [threading.Thread(target=scrape, args=(encoding,)) for encoding in ("gzip", "identity") * 4]
        for thread in threads:
            thread.start()
        assert begun.wait(20)
        deadline = time.monotonic() + 20
        while site.accounting.in_flight < 8 and time.monotonic() < deadline:  # until all eight have come
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
    outcomes: Iterator[Exception | Gathered] = iter([RuntimeError("no"), [ONE.family([1])]])

    def gather(_query: Query) -> Gathered:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with serving(gather) as site, requests.Session() as session:
        assert [session.get(site.url, timeout=10).status_code for _ in range(2)] == [500, 200]


def test_service_goes_on_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any thread a request gets 503, however often; as soon as there is one, it is served."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving(lambda _query: [ONE.family([1])]) as site:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            for _ in range(700):
                assert requests.get(site.url, timeout=10).status_code == 503
        assert requests.get(site.url, timeout=10).status_code == 200
        assert site.accounting.in_flight == 0


def test_an_error_of_our_own_is_logged_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its traceback, and only the one connection is closed; a disconnect is none."""
    with serving(lambda _query: [ONE.family([1])]) as site:
        with monkeypatch.context() as patched:
            patched.setattr("exporter.web.handler.Handler.handle", lambda *_args, **_more: 1 // 0)
            with pytest.raises(requests.ConnectionError):
                requests.get(site.url, timeout=10)
        requests.get(site.url, timeout=10)
        with socket.create_connection(site.address, timeout=10) as client:
            client.sendall(b"GET / HT")
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == ["connection failed"]
    assert errors[0].exc_info


def test_an_answer_that_cannot_be_written_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other; a connection that is being answered has no time limit."""
    with serving(lambda _query: [ONE.family([1])]) as site:
        with monkeypatch.context() as patched:
            patched.setattr("exporter.web.http1.Http1.answer", lambda *_args, **_more: 1 // 0)
            with pytest.raises(requests.ConnectionError):
                requests.get(site.url, timeout=5)
        assert requests.get(site.url, timeout=10).status_code == 200


def test_too_many_scrapes_at_once_get_503() -> None:
    """The one above --web.max-requests, at once, with the sentence that others of this family use."""
    begun, go = threading.Event(), threading.Event()

    def gather(_query: Query) -> Gathered:
        begun.set()
        assert go.wait(20)
        return [ONE.family([1])]

    statuses = []
    with serving(gather, max_requests=1) as site:
        first = threading.Thread(target=lambda: statuses.append(requests.get(site.url, timeout=30).status_code))
        first.start()
        assert begun.wait(20)
        refused = requests.get(site.url, timeout=10)
        assert (refused.status_code, refused.text) == (
            503,
            "Limit of concurrent requests reached (1), try again later.\n",
        )
        go.set()
        first.join(20)
        assert statuses == [200]
        assert requests.get(site.url, timeout=10).status_code == 200
