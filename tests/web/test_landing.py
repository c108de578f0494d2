"""The landing page: what it says, that it is safe, and how a browser shows it."""

import html.parser
import subprocess
import zlib
from pathlib import Path

import pytest
import requests
import sysv_ipc
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.families import Metric
from exporter.web.landing import landing_page
from exporter.web.overview import CollectorRow, Overview, QueueRow, ServerRow, overview
from tests.support.needs import need
from tests.support.program import running

LABEL = ("queue",)
BYTES = Metric("sysv_msg_queue_bytes", "gauge", "Help.", LABEL)
MESSAGES = Metric("sysv_msg_queue_messages", "gauge", "Help.", LABEL)
LIMIT = Metric("sysv_msg_queue_limit_bytes", "gauge", "Help.", LABEL)
QUEUES = Metric("sysv_msg_queues", "gauge", "Help.")
SUCCESS = Metric("openvpn_mq_scrape_collector_success", "gauge", "Help.", ("collector",))
SECONDS = Metric("openvpn_mq_scrape_collector_duration_seconds", "gauge", "Help.", ("collector",))
UP = Metric("openvpn_management_up", "gauge", "Help.", ("server",))
STATE = Metric("openvpn_status_state", "gauge", "Help.", ("server", "state"))
CLIENTS = Metric("openvpn_server_connected_clients", "gauge", "Help.", ("server",))


def test_overview() -> None:
    """The fullest queues first, by bytes or by messages; a server's state from whatever is watched of it."""
    up = UP.gauge()
    up.labels("a").set(0)
    found = overview(
        [
            QUEUES.family([4]),
            BYTES.family([10, 50, 0, 7], ["q1", "q2", "q3", "q4"]),
            MESSAGES.family([1, 2, 90, 3], ["q1", "q2", "q3", "q4"]),
            LIMIT.family([100, 100, 100], ["q1", "q2", "q3"]),
            SUCCESS.family([1, 0], ["queues", "log"]),
            SECONDS.family([0.001, 0.002], ["queues", "log"]),
            *up.collect(),
            STATE.family([0, 1], ["b", "b"], ["ok", "stale"]),
            CLIENTS.family([7], ["b"]),
        ],
        ["b", "a", "c"],
    )
    assert found == Overview(
        [CollectorRow("queues", True, 0.001), CollectorRow("log", False, 0.002)],
        [
            QueueRow("q3", 90, 0, 100, 0.9),
            QueueRow("q2", 2, 50, 100, 0.5),
            QueueRow("q1", 1, 10, 100, 0.1),
            QueueRow("q4", 3, 7, None, None),
        ],
        4,
        [ServerRow("a", False, None, None), ServerRow("b", None, "stale", 7), ServerRow("c", None, None, None)],
    )


def test_nothing_to_show() -> None:
    page = landing_page(overview([], []), "/metrics", "1", "abc").decode()
    assert "There is none in this IPC namespace." in page
    assert "None is configured or found." in page
    assert "None is switched on." in page


class Tags(html.parser.HTMLParser):
    """Every tag and attribute, and that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"@{name}" for name, _ in attrs)}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"@{name}" for name, _ in attrs)}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


EXPECTED = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "nav", "a", "section", "table",
    "thead", "tbody", "tr", "th", "td", "svg", "rect", "@lang", "@charset", "@name", "@content", "@href", "@class",
    "@role", "@aria-label", "@viewbox", "@preserveaspectratio", "@width", "@height",
}  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(min_value=0))
def test_any_name_is_text(name: str, fill: float) -> None:
    """No queue, server or collector can put a tag on the page; there are no scripts."""
    view = Overview(
        [CollectorRow(name, False, 1.0)],
        [QueueRow(name, 1, 2, 3, fill)],
        1,
        [ServerRow(name, True, name, 1)],
    )
    tags = Tags()
    tags.feed(landing_page(view, "/metrics", name, name).decode())
    assert tags.found <= EXPECTED
    assert tags.open == []


@pytest.mark.usefixtures("queues")
def test_it_shows_the_queues_of_the_host() -> None:
    """Read for the page itself if there was no scrape; served again from the last scrape."""
    sysv_ipc.MessageQueue(0x4F560001, sysv_ipc.IPC_CREX).send(b"x" * 100)
    with running("--collector.disable-defaults", "--collector.queues") as program:
        page = requests.get(program.url, timeout=10)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "0x4f560001" in page.text
        assert "Message queues: 1" in page.text
        assert "works" in page.text
        assert program.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(scheme: str, tmp_path: Path) -> None:
    """Chromium draws it without complaint, in light and dark; the picture is not of one colour."""
    need("chromium")
    view = Overview(
        [CollectorRow("queues", True, 0.0012), CollectorRow("log", False, 0.0003)],
        [QueueRow("status", 120, 15_800, 16_384, 0.96), QueueRow("0x4f560001", 9, 11_000, 16_384, 0.67),
         QueueRow("private:32769", 0, 4_000, 16_384, 0.24), QueueRow("commands", 3, 10, None, None)],
        14,
        [ServerRow("udp1194", True, "ok", 412), ServerRow("tcp443", False, "stale", 17)],
    )  # fmt: skip
    page = tmp_path / "page.html"
    page.write_bytes(landing_page(view, "/metrics", "1.0.0", "0123456789abcdef"))
    picture = tmp_path / f"{scheme}.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,1000"]
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    run = subprocess.run(
        [
            "chromium",
            *flags,
            *dark,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "CONSOLE" not in run.stderr
    assert first_pixel(picture) == {"light": "f6f7f9", "dark": "14181e"}[scheme]
    assert picture.stat().st_size > 20_000  # a page without its tables is a third of that


def first_pixel(png: Path) -> str:
    """As the hexadecimal number that style sheets use; of an 8-bit RGB or RGBA picture."""
    data, at, packed = png.read_bytes(), 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return zlib.decompress(packed)[1:4].hex()  # behind the first line's filter, which changes no first pixel
