"""From a request to its answer: authentication, routing, and the thread that does the work."""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from exporter.exposition.pages import Pages
from exporter.web.accounting import RequestAccounting
from exporter.web.auth import Authenticator, credentials
from exporter.web.live import LiveWebConfig
from exporter.web.metricspage import MetricsPage
from exporter.web.request import Client, Request
from exporter.web.response import Answer, Response, plain
from exporter.web.workers import Job, Workers

_log = logging.getLogger(__name__)

_THREADS: Final = 8  # few: scrapes at once share a page
_WAITING: Final = 600  # more than there can be connections
_PASSWORDS_WAITING: Final = 32  # at a tenth of a second each, a queue that is longer is of no use to anybody
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="openvpn-mq-exporter", charset="UTF-8"')


class Endpoints(NamedTuple):
    """What is served."""

    telemetry_path: str
    pages: Pages
    collectors: Callable[[], Collection[str]]  # that are switched on, for collect[] and exclude[]
    landing: Callable[[], bytes]
    reload: Callable[[], str | None]  # returns why it failed
    is_ready: Callable[[], bool]


class Handler:
    """Answers requests. `handle` is called from the server's one thread, and so never waits."""

    def __init__(self, endpoints: Endpoints, live: LiveWebConfig, accounting: RequestAccounting) -> None:
        self._endpoints = endpoints
        self._live = live
        self._workers = Workers("request", _THREADS, _WAITING)
        self._passwords = Workers("password", 1, _PASSWORDS_WAITING)
        self._reloading = threading.Lock()
        self._metrics = MetricsPage(
            endpoints.pages, endpoints.collectors, accounting, partial(self._submit, self._workers)
        )

    def handle(self, request: Request, client: Client, answer: Answer) -> None:
        """Have the request answered, now or later, by whichever thread."""
        state = self._live.current

        def finish(response: Response) -> None:
            _log.debug(
                "request", extra={"fields": {"request": f"{request.method} {request.path}", "status": response.status}}
            )
            answer(replace(response, headers=(*response.headers, *state.config.headers)))

        if client == "own":
            self._route(request, client, finish)
        elif state.limiter and not state.limiter.allow():
            finish(plain(429, "Too Many Requests"))
        elif state.authenticator:
            self._authenticate(request, client, state.authenticator, finish)
        else:
            self._route(request, client, finish)

    def _authenticate(self, request: Request, client: Client, authenticator: Authenticator, finish: Answer) -> None:
        given = credentials(request.headers.get("authorization", ""))
        known = authenticator.remembered(given) if given else False
        if given is None or known is False:
            finish(plain(401, "Unauthorized", _CHALLENGE))
        elif known:
            self._route(request, client, finish)
        else:

            def check() -> None:
                if authenticator.check(given):
                    self._route(request, client, finish)
                else:
                    finish(plain(401, "Unauthorized", _CHALLENGE))

            self._submit(self._passwords, check, finish)

    def _route(self, request: Request, client: Client, finish: Answer) -> None:
        path, endpoints = request.path, self._endpoints
        if path == endpoints.telemetry_path:
            if _allows(request, finish, "GET", "HEAD"):
                self._metrics.handle(request, client, finish)
        elif path == "/-/reload":
            if _allows(request, finish, "POST"):
                self._submit(self._workers, lambda: self._reload(finish), finish)
        elif path not in ("/", "/-/healthy", "/-/ready"):
            finish(plain(404, "404 page not found"))
        elif not _allows(request, finish, "GET", "HEAD"):
            pass
        elif path == "/":
            self._submit(self._workers, lambda: self._land(finish), finish)
        elif path == "/-/ready" and not endpoints.is_ready():
            finish(plain(503, "openvpn-mq-exporter is not ready"))
        else:
            finish(plain(200, f"openvpn-mq-exporter is {path.removeprefix('/-/')}"))

    def _submit(self, workers: Workers, job: Job, finish: Answer) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception:  # noqa: BLE001  # logged whole; the client gets an answer
                _log.exception("cannot answer a request")
                finish(plain(500, "the page could not be made; see the log"))

        if not workers.submit(guarded):
            finish(plain(503, "too many requests are waiting, try again later", ("Retry-After", "1")))

    def _land(self, finish: Answer) -> None:
        finish(Response(200, "text/html; charset=utf-8", [self._endpoints.landing()]))

    def _reload(self, finish: Answer) -> None:
        if not self._reloading.acquire(blocking=False):
            finish(plain(503, "a reload is under way, try again later", ("Retry-After", "1")))
            return
        try:
            reason = self._endpoints.reload()
        finally:
            self._reloading.release()
        finish(plain(500, f"failed to reload: {reason}") if reason else plain(200, "reloaded"))


def _allows(request: Request, finish: Answer, *methods: str) -> bool:
    """Return whether the method is one of these; answer 405 if not."""
    if request.method in methods:
        return True
    finish(plain(405, "Method Not Allowed", ("Allow", ", ".join(methods))))
    return False
