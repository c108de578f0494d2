"""The HTTP side alone, in this process, over whatever a test gathers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from exporter.config.model import Address
from exporter.exposition.pages import Gathered, Pages, Query
from exporter.web.accounting import RequestAccounting
from exporter.web.handler import Endpoints, Handler
from exporter.web.listen import listen
from exporter.web.live import LiveWebConfig
from exporter.web.server import Server


class Serving(NamedTuple):
    """A running server."""

    url: str  # of its metrics
    address: tuple[str, int]
    accounting: RequestAccounting
    server: Server
    live: LiveWebConfig


@contextmanager
def serving(
    gather: Callable[[Query], Gathered],
    *,
    max_requests: int = 40,
    web_config: Path | None = None,
    reload: Callable[[], str | None] = lambda: None,
) -> Iterator[Serving]:
    """A server on a free port of 127.0.0.1; `alpha` and `beta` are its collectors."""
    live = LiveWebConfig(web_config)
    accounting = RequestAccounting(max_requests)
    endpoints = Endpoints(
        "/metrics", Pages(gather), lambda: ["alpha", "beta"], lambda: b"<h1>landing</h1>", reload, lambda: True
    )
    listener = listen(Address("127.0.0.1", 0))
    server = Server([listener], Handler(endpoints, live, accounting), live)
    address = listener.socket.getsockname()
    server.start()
    try:
        yield Serving(f"http://{address[0]}:{address[1]}/metrics", address, accounting, server, live)
    finally:
        server.stop(1.0)
