"""HTTP/1.1 on one connection: bytes in, requests out; answers in, bytes out. The protocol is h11's; no socket here."""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11

from exporter.web.request import BadRequestError, Request, read_request
from exporter.web.response import Response

MAX_HEAD: Final = 32 * 1024  # bytes of a request's line and headers; more is 431
_MAX_LINES: Final = 100  # of these; h11 takes longer for each line than for a thousand bytes
_TOO_MANY_LINES: Final = re.compile(rb"(?:(?!\r?\n)[^\n]*\n){%d}" % (_MAX_LINES + 1))
_FEW: Final = 256 * 1024  # bytes


class Http1:
    """Requests and answers in turn. A body is never read: the connection ends behind a request that has one."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._is_head = False
        self._is_ambiguous = False  # where the request under way ends

    @property
    def pending(self) -> int:
        """How many bytes of the next request have come."""
        return len(self._h11.trailing_data[0])

    def receive(self, data: bytes) -> None:
        """Take what the client has sent; at least one byte."""
        self._h11.receive_data(data)

    def next_request(self) -> Request | None:
        """Return the next request; None if more has to come. Raises BadRequestError; then only an answer can follow."""
        self._is_head = False
        if _TOO_MANY_LINES.match(self._h11.trailing_data[0]):
            raise BadRequestError(431, f"the request has more than {_MAX_LINES} lines")
        try:
            event = self._h11.next_event()
            if not isinstance(event, h11.Request):
                return None
            self._is_head = event.method == b"HEAD"
            request = read_request(event)
            # A proxy before us may go by the other one, and then hands us as another request what is a body to it.
            self._is_ambiguous = {"content-length", "transfer-encoding"} <= request.headers.keys()
            self._h11.next_event()  # without a body, this is the request's end
        except h11.RemoteProtocolError as error:
            raise BadRequestError(error.error_status_hint, f"this is not an HTTP request: {error}") from None
        return request

    def answer(self, response: Response, *, close: bool) -> tuple[list[bytes], bool]:
        """Return the bytes to send, and whether the connection goes on behind them.

        They come in parts; in one if they are few, as each part is a system call, and a TLS record. `close`: the
        connection is to end, although the client could use it again.
        """
        length = sum(map(len, response.parts))
        close = close or self._is_ambiguous or self._h11.their_state is not h11.DONE
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", response.content_type),
            ("Content-Length", str(length)),
            *response.headers,
            *([("Connection", "close")] if close else []),
        ]
        start = h11.Response(
            status_code=response.status, reason=HTTPStatus(response.status).phrase.encode(), headers=headers
        )
        parts = self._h11.send_with_data_passthrough(start) or []
        if not self._is_head:
            for part in response.parts:
                parts += self._h11.send_with_data_passthrough(h11.Data(data=part)) or []
        parts += self._h11.send_with_data_passthrough(h11.EndOfMessage()) or []
        goes_on = self._h11.our_state is self._h11.their_state is h11.DONE
        if goes_on:
            self._h11.start_next_cycle()
        return [b"".join(parts)] if length <= _FEW else parts, goes_on
