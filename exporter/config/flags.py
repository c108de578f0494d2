"""Types of command line flags, for argparse: text in, value out, or one sentence about what is wrong."""

import argparse
import re
from collections.abc import Callable
from typing import TypeVar

from exporter.config.model import Address, UnixAddress

T = TypeVar("T")


def value(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make argparse show the sentence of a ValueError, which it swallows otherwise."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def address(text: str) -> Address | UnixAddress:
    """Read HOST:PORT, where an empty host is every address of the machine, or unix:PATH."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"{text!r} is not a unix socket; write its whole path, as unix:/run/exporter/web.sock")
        return UnixAddress(path)
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isascii() or not port.isdigit() or (":" in bare and bare == host):
        raise ValueError(f"{text!r} is not an address; write it as :10049, 127.0.0.1:10049 or [::1]:10049")
    if int(port) > 65535:
        raise ValueError(f"{text!r} has a port above 65535")
    return Address(bare, int(port))


def url_path(text: str) -> str:
    """Read the path of a URL."""
    if not re.fullmatch(r"/[!-~]*", text) or re.search(r"[?#]", text):
        raise ValueError(f"{text!r} is not a path; it starts with a slash, as /metrics does")
    if text.startswith("/-/"):
        raise ValueError(f"{text!r}: paths below /-/ are the exporter's own, as /-/healthy; choose another")
    return text


def regex(text: str) -> re.Pattern[str]:
    """Compile a regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None


def count(text: str) -> int:
    """Read a number of queues; 0 = no limit."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a number of queues; write a whole number, 0 = no limit")
    return int(text)


def requests(text: str) -> int:
    """Read a number of requests; 0 = no limit."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a number of requests; write a whole number, 0 = no limit")
    return int(text)
