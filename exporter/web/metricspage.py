"""The page of the metrics: which form a request gets, which requests share one, and how many may be under way."""

import logging
import threading
from collections.abc import Callable, Collection
from typing import NamedTuple

from exporter.exposition.pages import Pages, Query
from exporter.web.accounting import RequestAccounting
from exporter.web.negotiation import ContentType, content_type, wants_gzip
from exporter.web.query import read_query
from exporter.web.request import BadRequestError, Client, Request
from exporter.web.response import Answer, Response, plain
from exporter.web.workers import Job

_log = logging.getLogger(__name__)


class PageForm(NamedTuple):
    """Requests with the same one can share a page."""

    kind: ContentType
    zipped: bool
    query: Query


class MetricsPage:
    """Answers requests for the metrics; those that wait for the same page get it together."""

    def __init__(
        self,
        pages: Pages,
        collectors: Callable[[], Collection[str]],
        accounting: RequestAccounting,
        submit: Callable[[Job, Answer], None],
    ) -> None:
        """`collectors`: those that are switched on. `submit` has a worker do a job, or answers that it cannot."""
        self._pages = pages
        self._collectors = collectors
        self._accounting = accounting
        self._submit = submit
        self._lock = threading.Lock()
        self._waiting: dict[PageForm, list[Answer]] = {}

    def handle(self, request: Request, client: Client, answer: Answer) -> None:
        """Have the request answered by a worker, or refuse it at once. Never waits."""
        accounting = self._accounting
        try:
            query = read_query(request, self._collectors())
        except BadRequestError as error:
            accounting.refuse(error.status)
            answer(plain(error.status, error.reason))
            return
        form = PageForm(
            content_type(request.headers.get("accept", "")),
            wants_gzip(request.headers.get("accept-encoding", "")),
            query,
        )
        if client == "own":
            self._join(form, answer)
            return
        if not accounting.begin(is_known=client == "known"):
            accounting.refuse(503)
            sentence = f"Limit of concurrent requests reached ({accounting.limit}), try again later."
            answer(plain(503, sentence, ("Retry-After", "1")))
            return

        def counted(response: Response) -> None:
            accounting.end(response.status)
            answer(response)

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

        self._submit(make, answer_all)

    def _take_waiting(self, form: PageForm) -> list[Answer]:
        with self._lock:
            return self._waiting.pop(form, [])

    def _page(self, form: PageForm) -> Response:
        try:
            parts = self._pages.page(form.kind.form, form.query, compressed=form.zipped)
        except Exception:  # noqa: BLE001  # logged whole; the clients get an answer
            _log.exception("cannot make the page")
            return plain(500, "the metrics could not be gathered")
        headers = [("Vary", "Accept, Accept-Encoding")]
        if form.zipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, form.kind.header, parts, tuple(headers))
