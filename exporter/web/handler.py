"""From a request to its answer: who may ask, what there is, and which thread does the work."""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.exposition.pages import Pages, Query
from exporter.web.accept import content_type, wants_gzip
from exporter.web.auth import Authenticator, credentials
from exporter.web.live import LiveWebConfig
from exporter.web.query import read_query
from exporter.web.request import BadRequestError, Request
from exporter.web.requests import RequestAccounting
from exporter.web.response import Response, plain
from exporter.web.workers import Workers

_log = logging.getLogger(__name__)

_THREADS: Final = 8  # scrapes at once share one gathering, so that more would only wait for each other
_WAITING: Final = 600
_PASSWORDS_WAITING: Final = 32  # at a tenth of a second each, a queue that is longer is of no use to anybody
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="openvpn-mq-exporter", charset="UTF-8"')

Answer = Callable[[Response], None]


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
        self._accounting = accounting
        self._workers = Workers("request", _THREADS, _WAITING)
        self._passwords = Workers("password", 1, _PASSWORDS_WAITING)
        self._reloading = threading.Lock()

    def handle(self, request: Request, answer: Answer, *, trusted: bool) -> None:
        """Have the request answered, now or later, by whichever thread. `trusted`: no password, not counted."""
        state = self._live.current

        def finish(response: Response) -> None:
            _log.debug(
                "request", extra={"fields": {"request": f"{request.method} {request.path}", "status": response.status}}
            )
            answer(replace(response, headers=(*response.headers, *state.config.headers)))

        if trusted:
            self._route(request, finish, trusted=True)
        elif state.limiter and not state.limiter.allow():
            finish(plain(429, "Too Many Requests"))
        elif state.authenticator:
            self._authenticate(request, state.authenticator, finish)
        else:
            self._route(request, finish, trusted=False)

    def _authenticate(self, request: Request, authenticator: Authenticator, finish: Answer) -> None:
        given = credentials(request.headers.get("authorization", ""))
        known = authenticator.remembered(given) if given else False
        if given is None or known is False:
            finish(plain(401, "Unauthorized", _CHALLENGE))
        elif known:
            self._route(request, finish, trusted=False)
        else:

            def check() -> None:
                if authenticator.check(given):
                    self._route(request, finish, trusted=False)
                else:
                    finish(plain(401, "Unauthorized", _CHALLENGE))

            self._submit(self._passwords, check, finish)

    def _route(self, request: Request, finish: Answer, *, trusted: bool) -> None:
        path, endpoints = request.path, self._endpoints
        if path == endpoints.telemetry_path:
            if _allows(request, finish, "GET", "HEAD"):
                self._metrics(request, finish, trusted=trusted)
        elif path == "/-/reload":
            if _allows(request, finish, "POST"):
                self._submit(self._workers, lambda: self._reload(finish), finish)
        elif path not in ("/", "/-/healthy", "/-/ready"):
            finish(plain(404, "404 page not found"))
        elif not _allows(request, finish, "GET", "HEAD"):
            pass
        elif path == "/":
            page = lambda: finish(Response(200, "text/html; charset=utf-8", [endpoints.landing()]))  # noqa: E731
            self._submit(self._workers, page, finish)
        elif path == "/-/ready" and not endpoints.is_ready():
            finish(plain(503, "openvpn-mq-exporter is not ready"))
        else:
            finish(plain(200, f"openvpn-mq-exporter is {path.removeprefix('/-/')}"))

    def _submit(self, workers: Workers, job: Callable[[], None], finish: Answer) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception:  # noqa: BLE001  # logged whole; the client gets an answer
                _log.exception("cannot answer a request")
                finish(plain(500, "the page could not be made; the log says why"))

        if not workers.submit(guarded):
            finish(plain(503, "too many requests are waiting, try again later", ("Retry-After", "1")))

    def _reload(self, finish: Answer) -> None:
        if not self._reloading.acquire(blocking=False):
            finish(plain(503, "a reload is under way, try again later", ("Retry-After", "1")))
            return
        try:
            reason = self._endpoints.reload()
        finally:
            self._reloading.release()
        finish(plain(500, f"failed to reload: {reason}") if reason else plain(200, "reloaded"))

    def _metrics(self, request: Request, finish: Answer, *, trusted: bool) -> None:
        accounting = self._accounting
        try:
            query = read_query(request, self._endpoints.collectors())
        except BadRequestError as error:
            accounting.refuse(error.status)
            finish(plain(error.status, error.reason))
            return
        if trusted:
            self._submit(self._workers, lambda: finish(self._page(request, query)), finish)
            return
        if not accounting.begin():
            accounting.refuse(503)
            sentence = f"Limit of concurrent requests reached ({accounting.limit}), try again later."
            finish(plain(503, sentence, ("Retry-After", "1")))
            return

        def counted(response: Response) -> None:
            accounting.end(response.status)
            finish(response)

        self._submit(self._workers, lambda: counted(self._page(request, query)), counted)

    def _page(self, request: Request, query: Query) -> Response:
        zipped = wants_gzip(request.headers.get("accept-encoding", ""))
        kind = content_type(request.headers.get("accept", ""))
        parts = self._endpoints.pages.page(kind.form, query, compressed=zipped)
        headers = [("Vary", "Accept, Accept-Encoding")]
        if zipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, kind.header, parts, tuple(headers))


def _allows(request: Request, finish: Answer, *methods: str) -> bool:
    """Return whether the method is one of these; answer 405 if not."""
    if request.method in methods:
        return True
    finish(plain(405, "Method Not Allowed", ("Allow", ", ".join(methods))))
    return False
