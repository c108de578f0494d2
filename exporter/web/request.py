"""What a client asks for, out of the request that h11 has read."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

import h11

_MAX_FIELDS: Final = 200  # of a query
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


# Who sends it. own: the exporter itself, which needs no password and is not counted; known: one that was served before.
Client = Literal["new", "known", "own"]


class Request(NamedTuple):
    """One request. Header names are in lower case; values that came several times are joined by commas."""

    method: str
    path: str  # with percent escapes resolved
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def values(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]


class BadRequestError(Exception):
    """What came is no request that can be answered as asked; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_request(event: h11.Request) -> Request:
    """Read a request's line and headers. Raises BadRequestError."""
    if not event.http_version.startswith(b"1."):
        raise BadRequestError(505, "only HTTP/1.1 and HTTP/1.0 are served")
    if event.method == b"CONNECT":  # to h11, what follows a success is no HTTP any more
        raise BadRequestError(400, "CONNECT is for proxies")
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        if name == "authorization" and name in headers:
            raise BadRequestError(400, f"the header {name} is given twice")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path, query = _target(event.target.decode("ascii"))
    return Request(event.method.decode("ascii"), path, query, headers)


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
