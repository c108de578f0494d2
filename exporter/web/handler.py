"""From a request to its answer: authentication, routing, and the thread that does the work."""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from exporter.exposition.pages import Pages, Query
from exporter.web.accept import ContentType, content_type, wants_gzip
from exporter.web.auth import Authenticator, credentials
from exporter.web.live import LiveWebConfig
from exporter.web.query import read_query
from exporter.web.request import BadRequestError, Request
from exporter.web.requests import RequestAccounting
from exporter.web.response import Response, plain
from exporter.web.workers import Workers

_log = logging.getLogger(__name__)

_THREADS: Final = 8  # few: scrapes at once share a page
_WAITING: Final = 600  # more than there can be connections
_PASSWORDS_WAITING: Final = 32  # at a tenth of a second each, a queue that is longer is of no use to anybody
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="openvpn-mq-exporter", charset="UTF-8"')

Answer = Callable[[Response], None]
# own: the exporter's own connection, which needs no password and is not counted; known: one that was served before.
Client = Literal["new", "known", "own"]


class Endpoints(NamedTuple):
    """What is served."""

    telemetry_path: str
    pages: Pages
    collectors: Callable[[], Collection[str]]  # that are switched on, for collect[] and exclude[]
    landing: Callable[[], bytes]
    reload: Callable[[], str | None]  # returns why it failed
    is_ready: Callable[[], bool]


class PageForm(NamedTuple):
    """Requests with the same one can share a page."""

    kind: ContentType
    zipped: bool
    query: Query


class Handler:
    """Answers requests. `handle` is called from the server's one thread, and so never waits."""

    def __init__(self, endpoints: Endpoints, live: LiveWebConfig, accounting: RequestAccounting) -> None:
        self._endpoints = endpoints
        self._live = live
        self._accounting = accounting
        self._workers = Workers("request", _THREADS, _WAITING)
        self._passwords = Workers("password", 1, _PASSWORDS_WAITING)
        self._reloading = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: dict[PageForm, list[Answer]] = {}

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
                self._metrics(request, client, finish)
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
                finish(plain(500, "the page could not be made; see the log"))

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

    def _metrics(self, request: Request, client: Client, finish: Answer) -> None:
        accounting = self._accounting
        try:
            query = read_query(request, self._endpoints.collectors())
        except BadRequestError as error:
            accounting.refuse(error.status)
            finish(plain(error.status, error.reason))
            return
        form = PageForm(
            content_type(request.headers.get("accept", "")),
            wants_gzip(request.headers.get("accept-encoding", "")),
            query,
        )
        if client == "own":
            self._join(form, finish)
            return
        if not accounting.begin(is_known=client == "known"):
            accounting.refuse(503)
            sentence = f"Limit of concurrent requests reached ({accounting.limit}), try again later."
            finish(plain(503, sentence, ("Retry-After", "1")))
            return

        def counted(response: Response) -> None:
            accounting.end(response.status)
            finish(response)

        self._join(form, counted)

    def _join(self, form: PageForm, answer: Answer) -> None:
        """Answer with a page that is begun after now; those that wait for the same one get it together."""
        with self._lock:
            if form in self._waiting:
                self._waiting[form].append(answer)
                return
            self._waiting[form] = [answer]

        def answer_all(response: Response) -> None:
            for each in self._take_waiting(form):
                each(response)

        def make() -> None:
            waiting = self._take_waiting(form)  # clients that come from now on wait for the next page
            response = self._page(form)
            for each in waiting:
                each(response)

        self._submit(self._workers, make, answer_all)

    def _take_waiting(self, form: PageForm) -> list[Answer]:
        with self._lock:
            return self._waiting.pop(form, [])

    def _page(self, form: PageForm) -> Response:
        try:
            parts = self._endpoints.pages.page(form.kind.form, form.query, compressed=form.zipped)
        except Exception:  # noqa: BLE001  # logged whole; the clients get an answer
            _log.exception("cannot make the page")
            return plain(500, "the metrics could not be gathered")
        headers = [("Vary", "Accept, Accept-Encoding")]
        if form.zipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, form.kind.header, parts, tuple(headers))


def _allows(request: Request, finish: Answer, *methods: str) -> bool:
    """Return whether the method is one of these; answer 405 if not."""
    if request.method in methods:
        return True
    finish(plain(405, "Method Not Allowed", ("Allow", ", ".join(methods))))
    return False
