"""Answers to requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


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
