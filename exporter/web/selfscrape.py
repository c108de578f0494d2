"""A scrape of the exporter by itself, all the way: the proof that it serves, for systemd's watchdog."""

import time
from collections.abc import Callable
from socket import socket
from typing import Final

_REQUEST: Final = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    "X-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\n\r\n"
)


def scrape(connect: Callable[[], socket], path: str, seconds: float) -> bool:
    """Return whether the metrics come with status 200 within `seconds`."""
    deadline = time.monotonic() + seconds
    with connect() as sock:
        try:
            sock.settimeout(seconds)
            sock.sendall(_REQUEST.format(path=path, seconds=seconds).encode())
            start = b""
            while data := sock.recv(65536):
                start = start or data
                sock.settimeout(max(0.001, deadline - time.monotonic()))
        except OSError:
            return False
    return start.startswith(b"HTTP/1.1 200 ")
