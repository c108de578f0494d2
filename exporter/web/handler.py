"""One connection's requests: the metrics, the landing page, or 404."""

import logging
import re
import zlib
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, NamedTuple

from exporter.collectors.process import SelfMetrics
from exporter.exposition.pages import Pages, negotiate

_log = logging.getLogger(__name__)

_GZIP_LEVEL: Final = 1  # nine times faster than the default on a page of 18 MB, for a fifth more bytes


class Site(NamedTuple):
    """What is served."""

    telemetry_path: str
    landing: bytes
    pages: Pages
    self_metrics: SelfMetrics


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return False


def compress(parts: list[bytes]) -> list[bytes]:
    """The same page, gzipped; part by part, as one large piece would double the memory."""
    squeeze = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return [*filter(None, map(squeeze.compress, parts)), squeeze.flush()]


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 and keeps the connection open for the next scrape."""

    protocol_version = "HTTP/1.1"
    server_version = "openvpn-mq-exporter"
    sys_version = ""
    timeout = 30  # seconds without a byte, in either direction, after which a connection is closed
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True  # or the last piece of a page waits for the client to acknowledge the one before

    @property
    def site(self) -> Site:
        """What the server serves."""
        site: Site = self.server.site  # type: ignore[attr-defined]  # Server of server.py, which imports this module
        return site

    def do_GET(self) -> None:  # http.server's name
        """Any GET."""
        path = self.path.partition("?")[0]
        if path == self.site.telemetry_path:
            self._metrics()
        elif path == "/":
            self._answer(200, "text/html; charset=utf-8", [self.site.landing])
        else:
            self._answer(404, "text/plain; charset=utf-8", [b"404 page not found\n"])

    do_HEAD = do_GET  # noqa: N815  # likewise; _answer leaves the body out

    def _metrics(self) -> None:
        self_metrics = self.site.self_metrics
        self_metrics.begin()
        code = 500
        try:
            zipped = accepts_gzip(self.headers.get("Accept-Encoding", ""))
            form = negotiate(self.headers.get("Accept", ""))
            parts = self.site.pages.page(form, compressed=zipped)
            code = 200
            headers = {"Vary": "Accept, Accept-Encoding"}
            if zipped:
                headers["Content-Encoding"] = "gzip"
            self._answer(200, form.value, parts, headers)
        except OSError:
            raise  # the client's connection: there is nobody left to answer
        except Exception:  # noqa: BLE001  # logged whole; the client gets an answer
            _log.exception("cannot make the page")
            self._answer(500, "text/plain; charset=utf-8", [b"the metrics could not be gathered\n"])
        finally:
            self_metrics.end(code)

    def _answer(self, code: int, content_type: str, parts: list[bytes], headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(sum(map(len, parts))))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for part in parts:
                self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's signature
        """One line a request is too much at any level but debug."""
        _log.debug("request", extra={"fields": {"client": self.client_address[0], "request": format % args}})
