"""Answers, and how they look on the wire."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

_FEW: Final = 256 * 1024  # bytes


@dataclass(frozen=True)
class Response:
    """A whole answer; the body in parts, as joining tens of megabytes would copy them once more."""

    status: int
    content_type: str
    parts: Sequence[bytes]
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Response], None]  # takes the response to one request, from whichever thread


def plain(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """Return an answer of one line of text."""
    return Response(status, "text/plain; charset=utf-8", [f"{text}\n".encode()], headers)


def encode(response: Response, *, head_only: bool, close: bool) -> list[bytes]:
    """Return the bytes to send, in parts; in one if they are few, as each part is a system call, and a TLS record."""
    length = sum(map(len, response.parts))
    headers = [
        ("Date", formatdate(usegmt=True)),
        ("Content-Type", response.content_type),
        ("Content-Length", str(length)),
        *response.headers,
        ("Connection", "close" if close else "keep-alive"),
    ]
    first = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
    head = first + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    parts = [head.encode("latin-1"), *([] if head_only else filter(None, response.parts))]
    return [b"".join(parts)] if length <= _FEW else parts
