"""Simulated VPN hosts: one HTTP server that answers the scrapes of all of them.

Every page is made from bench/fleet.prom, a page that the real exporter served with every collector on, which
bench/fleet_page.py records anew. Its queue and its server are repeated as often as asked for. Values then change as
they do on a host that is in use; a few hosts are in trouble (see TROUBLES), so that alerts fire and panels have
something to show.
"""

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).with_name("fleet.prom")

TROUBLES: Final = {7: "full", 17: "failing", 27: "hanging", 37: "down"}
"""What is wrong with a host, by its number modulo 50; the others are well."""

_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_FAILURES = re.compile(
    r"fail|refused|dropped|suppressed|error|lost|missed|omitted|log_events|rule_matches|queue_lines|unread"
)
_COUNTER = re.compile(r"_(total|bucket|sum|count)$")


class Moment(NamedTuple):
    """What the values of one scrape of one host are computed from."""

    host: int
    now: float
    seconds: float
    """Since the simulation started."""


Value = Callable[[Moment], float]


class Line(NamedTuple):
    """One sample of the page: its name with labels, and its value at a moment."""

    series: str
    value: Value | str


def hostname(host: int) -> str:
    """Return the label `instance` of a host."""
    return f"vpn{host:04}.example.org:10049"


def trouble(host: int) -> str:
    """Return what is wrong with a host, "" if nothing is."""
    return TROUBLES.get(host % 50, "")


class Page:
    """The page of every host with the same trouble, as a template with a place for each value that changes."""

    def __init__(self, text: str, trouble: str, queues: int, servers: int) -> None:
        """Repeat the template's queue and server, and decide how each value moves."""
        lines: list[str | Line] = []
        for line in text.splitlines():
            found = _LINE.fullmatch(line)
            if line.startswith("#") or not found:
                lines.append(line)
            else:
                lines += widened(found["name"], found["labels"] or "", found["value"], trouble, queues, servers)
        self._template = "".join(
            line + "\n"
            if isinstance(line, str)
            else f"{line.series.replace('%', '%%')} {line.value if isinstance(line.value, str) else '%.16g'}\n"
            for line in lines
        )
        self._values = [line.value for line in lines if isinstance(line, Line) and not isinstance(line.value, str)]

    def render(self, moment: Moment) -> bytes:
        """Return what a host serves at a moment."""
        return (self._template % tuple([value(moment) for value in self._values])).encode()


def widened(name: str, labels: str, value: str, trouble: str, queues: int, servers: int) -> list[Line]:
    """Return one line for each simulated queue or server that the template's line stands for."""
    if 'queue="' in labels and 'queue="status"' not in labels:
        return []  # the template has a few queues: one of them is enough
    copies: list[tuple[str, int, int]] = [(labels, 0, 0)]
    if 'server="' in labels:
        copies = [(re.sub('server="[^"]*"', f'server="udp{1194 + n}"', labels), 0, n) for n in range(servers)]
    if 'queue="' in labels and "status_updates" not in name:
        copies = [(queue_named(text, n), n, server) for text, _, server in copies for n in range(queues)]
    found = []
    for text, queue, server in copies:
        series = f"{name}{{{text}}}" if text else name
        # Trouble has one queue and one server of a host.
        found.append(Line(series, behaviour(name, text, float(value), trouble if queue + server == 0 else "", queue)))
    return found


def queue_named(labels: str, number: int) -> str:
    """Return the labels with the queue, its key and its msqid replaced by those of queue `number`."""
    if number == 0:
        return labels
    key = f"{0x4F560001 + number:#010x}"
    labels = labels.replace('queue="status"', f'queue="{key}"')
    return re.sub('msqid="[^"]*"', f'msqid="{number}"', re.sub('key="[^"]*"', f'key="{key}"', labels))


def behaviour(name: str, labels: str, value: float, trouble: str, queue: int) -> Value | str:
    """Return how the value of a sample moves, or what it is for good."""
    if trouble and (found := troubled(name, labels, trouble)) is not None:
        return found
    if name in _GAUGES:
        return _GAUGES[name](queue)
    if name == "openvpn_status_state":
        return "1" if 'state="ok"' in labels else "0"
    if not _COUNTER.search(name):
        return f"{value:.16g}"
    unanswered = name == "openvpn_connections_total" and 'result="answered"' not in labels
    if _FAILURES.search(name) or unanswered or value == 0:
        return "0"
    return counting(value, 7 + 11 * (queue % 5))


def counting(step: float, period: int) -> Value:
    """Return a counter that rises by `step` every `period` seconds; in a histogram all buckets rise together."""
    return lambda moment: step * (1 + (moment.seconds + moment.host % period) // period)


def _messages(queue: int) -> Value:
    return lambda moment: (
        int(moment.now / 15 + moment.host * 7 + queue * 13) * 2654435761 % 97 % (4 if queue % 3 else 1)
    )


def _scaled(value: Value, factor: float) -> Value:
    return lambda moment: factor * value(moment)


def _ago(seconds: int) -> Callable[[int], Value]:
    return lambda queue: lambda moment: float(int(moment.now) - (moment.host + queue) % seconds)


def _always(value: float) -> Callable[[int], Value]:
    return lambda _: lambda _: value


_GAUGES: Final[dict[str, Callable[[int], Value]]] = {
    "sysv_msg_queue_messages": _messages,
    "sysv_msg_queue_bytes": lambda queue: _scaled(_messages(queue), 64),
    "sysv_msg_queue_peak_messages": lambda queue: lambda moment: 4 + (moment.host + queue) % 3,
    "sysv_msg_queue_peak_bytes": lambda queue: lambda moment: 256 + 64 * ((moment.host + queue) % 3),
    "sysv_msg_queue_fill_ratio": lambda queue: _scaled(_messages(queue), 64 / 16384),
    "sysv_msg_queue_max_fill_ratio": lambda queue: _scaled(_messages(queue + 1), 64 / 16384),
    "sysv_msg_queue_limit_bytes": _always(16384),
    "sysv_msgmnb_bytes": _always(16384),
    "sysv_msg_queue_blocked_senders": _always(0),
    "sysv_msg_queue_waiting_receivers": _always(1),
    "sysv_msg_queue_last_sender_running": _always(1),
    "sysv_msg_queue_last_receiver_running": _always(1),
    "sysv_msg_queue_last_send_timestamp_seconds": _ago(5),
    "sysv_msg_queue_last_receive_timestamp_seconds": _ago(5),
    "sysv_msg_queue_last_change_timestamp_seconds": _always(time.time() // 1 - 86400),
    "sysv_msg_messages": lambda _: lambda moment: moment.now // 15 % 40 + moment.host % 7,
    "sysv_msg_queues_omitted": _always(0),
    "openvpn_certificate_expiry_timestamp_seconds": _always(time.time() // 1 + 90 * 86400),
    "openvpn_hook_running": _always(0),
    "openvpn_script_running": _always(0),
    "openvpn_management_up": _always(1),
    "openvpn_management_command_pending_seconds": _always(0),
    "openvpn_management_last_reply_timestamp_seconds": _ago(15),
    "openvpn_status_update_time_seconds": lambda _: lambda moment: float(moment.now // 60 * 60),
    "openvpn_log_last_line_timestamp_seconds": _ago(30),
    "openvpn_log_verbosity": _always(3),
    "openvpn_log_mute": _always(0),
    "openvpn_server_connected_clients": lambda _: lambda moment: 20 + moment.host % 30 + moment.now // 300 % 5,
    "openvpn_connections_in_progress": lambda _: lambda moment: (moment.now // 15 + moment.host) % 2,
    "openvpn_mq_scrape_collector_success": _always(1),
    "openvpn_mq_scrape_collector_duration_seconds": lambda _: (
        lambda moment: 0.001 + (moment.now // 15 + moment.host) % 9 / 1e4
    ),
    "process_start_time_seconds": _always(time.time() // 1 - 86400),
}
"""How gauges move, by name, given the number of the queue; the others stay as they were recorded."""


def troubled(name: str, labels: str, trouble: str) -> Value | str | None:
    """Return how a sample moves on a host in trouble; None if as anywhere else."""
    connect = 'hook="client-connect"' in labels
    match trouble:
        case "full" if name in {"sysv_msg_queue_bytes", "sysv_msg_queue_peak_bytes"}:
            return "16320"
        case "full" if name in {"sysv_msg_queue_messages", "sysv_msg_queue_peak_messages"}:
            return "255"
        case "full" if name in {"sysv_msg_queue_fill_ratio", "sysv_msg_queue_max_fill_ratio"}:
            return f"{16320 / 16384}"
        case "full" if name == "sysv_msg_queue_blocked_senders":
            return "1"
        case "full" if name.startswith("sysv_msg_queue_received_"):
            return "0"  # nobody takes a message
        case "full" if name == "sysv_msg_queue_last_receive_timestamp_seconds":
            return f"{time.time() // 1:.0f}"
        case "full" if (name == "sysv_msg_queue_send_failures_total" and 'errno="EAGAIN"' in labels) or (
            name == "openvpn_status_updates_dropped_total" and 'reason="full"' in labels
        ):
            return counting(1, 20)
        case "failing" | "hanging" if connect and name in {"openvpn_hook_runs_total", "openvpn_script_runs_total"}:
            return counting(1, 30) if trouble == "failing" else "5"
        case "failing" if (
            connect and 'reason="exit_status"' in labels and re.search("(hook|script|run)_failures_total", name)
        ):
            return counting(1, 30)
        case "hanging" if connect and name in {"openvpn_hook_running", "openvpn_script_running"}:
            return "1"
        case "hanging" if name == "openvpn_script_blocked_seconds_total":
            return lambda moment: moment.seconds
        case "hanging" if name == "openvpn_management_up":
            return "0"
        case "hanging" if name == "openvpn_management_command_failures_total" and 'reason="timeout"' in labels:
            return counting(1, 15)
        case "hanging" if name == "openvpn_status_state":
            return "1" if 'state="stale"' in labels else "0"
        case "hanging" if name in {"openvpn_status_update_time_seconds", "openvpn_log_last_line_timestamp_seconds"}:
            return f"{time.time() // 1:.0f}"
    return None


def serve(port: int, queues: int, servers: int) -> None:
    """Serve the page of host N at /N until the process is ended."""
    text = PAGE.read_text()
    pages = {kind: Page(text, kind, queues, servers) for kind in ("", *TROUBLES.values())}
    start = time.time()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host, now = int(self.path.strip("/")), time.time()
            down = trouble(host) == "down" and now - start > 120
            body = b"" if down else pages[trouble(host)].render(Moment(host, now, now - start))
            self.send_response(503 if down else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1000

        def handle_error(self, *_: object) -> None:
            """Be silent: a scrape that takes too long is given up by Prometheus, which counts it."""

    Server(("127.0.0.1", port), Handler).serve_forever()
