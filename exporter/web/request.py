"""HTTP/1.1 requests: from bytes to a Request, or to the status that refuses them. Pure, and strict where it matters."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

MAX_LINE: Final = 8 * 1024  # bytes of the request line; more is 414
MAX_HEAD: Final = 32 * 1024  # bytes of the request line and all headers; more is 431
MAX_HEADERS: Final = 100
_MAX_FIELDS: Final = 200  # of a query

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/(\d)\.(\d)")
_HEADER: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*(.*?)[ \t]*", re.DOTALL)
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


# Who sends it. own: the exporter itself, which needs no password and is not counted; known: one that was served before.
Client = Literal["new", "known", "own"]


class Request(NamedTuple):
    """One request. Header names are in lower case; values that came several times are joined by commas."""

    method: str
    path: str  # with percent escapes resolved
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    keep_alive: bool  # whether the client will use the connection again, and can: a body is never read

    def values(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]


class BadRequestError(Exception):
    """What came is no request that can be answered as asked; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def take_request(data: bytearray) -> Request | None:
    """Cut the first request off `data`; return None if more has to come. Raises BadRequestError."""
    while data.startswith(b"\r\n"):  # some clients send an empty line behind a request
        del data[:2]
    end = _head_end(data)
    if not end:
        return None
    head = bytes(data[:end])
    del data[:end]
    return parse(head)


def _head_end(data: bytearray) -> int:
    """Return the length of the head, its empty line included; 0 if it is not complete."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    if end >= 0:
        return end + 4
    line_end = data.find(b"\r\n", 0, MAX_LINE + 2)
    if line_end < 0 and len(data) > MAX_LINE:
        raise BadRequestError(414, "the request line is too long")
    if len(data) > MAX_HEAD:
        raise BadRequestError(431, "the headers are too large")
    return 0


def parse(head: bytes) -> Request:
    """Read a whole head, up to and including its empty line. Raises BadRequestError."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if not match:
        raise BadRequestError(400, "this is not an HTTP request")
    method, target, major, minor = match.groups()
    if len(first) > MAX_LINE:
        raise BadRequestError(414, "the request line is too long")
    if major != b"1":
        raise BadRequestError(505, "only HTTP/1.1 and HTTP/1.0 are served")
    headers = _headers(lines)
    newest = minor != b"0"
    if newest and "host" not in headers:
        raise BadRequestError(400, "the header Host is missing")
    path, query = _target(target.decode("ascii"))
    return Request(method.decode("ascii"), path, query, headers, _keeps_alive(headers, newest=newest))


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise BadRequestError(431, "there are too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if not match or re.search(rb"[\0\r\n]", match[2]):
            raise BadRequestError(400, "a header is malformed")
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1")
        if name in headers and name in ("host", "content-length", "authorization"):
            raise BadRequestError(400, f"the header {name} is given twice")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _target(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Split a request target; one in absolute form, as for a proxy, counts as its path."""
    match = _ABSOLUTE.match(target)
    rest = target[match.end() :] if match else target
    path, _, query = rest.partition("#")[0].partition("?")
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadRequestError(400, "the query is malformed") from None
    return unquote(path or "/"), tuple(fields)


def _keeps_alive(headers: Mapping[str, str], *, newest: bool) -> bool:
    length = headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise BadRequestError(400, "Content-Length is not a number")
    if "transfer-encoding" in headers:
        if "content-length" in headers:
            raise BadRequestError(400, "a request has a length or a transfer encoding, not both")
        return False
    if int(length) > 0:
        return False
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    return "close" not in options if newest else "keep-alive" in options
