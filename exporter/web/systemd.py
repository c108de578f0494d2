"""systemd: the sockets that it hands over, and its notifications."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

from exporter.background import BackgroundThread
from exporter.errors import BadInputError
from exporter.web.listen import Listener, wrap

_log = logging.getLogger(__name__)

_FIRST_DESCRIPTOR: Final = 3


def activated_listeners(environ: MutableMapping[str, str]) -> list[Listener]:
    """Return the sockets that systemd listens on for us, and forget them, so that no child does it again.

    Raises BadInputError if there are none.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        raise BadInputError(
            "--web.systemd-socket: systemd has handed over no socket; start the exporter by a .socket unit, or use "
            "--web.listen-address"
        )
    listeners = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        listening = socket.socket(fileno=descriptor)
        if listening.type != socket.SOCK_STREAM or not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BadInputError("--web.systemd-socket: a socket is no ListenStream= with Accept=no")
        listeners.append(wrap(listening))
    return listeners


def notify(*lines: str) -> None:
    """Tell systemd the state of the service; nothing if it did not start us with Type=notify."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(1)
        sock.sendto("\n".join(lines).encode(), address)


def notify_reloading() -> None:
    """Tell systemd that a reload has begun, as Type=notify-reload asks."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog(scrape: Callable[[float], bool]) -> BackgroundThread | None:
    """Return the thread that tells systemd's watchdog of every scrape that worked; None if there is no watchdog.

    `scrape` makes one, within so many seconds, and returns whether it worked.
    """
    usec = os.environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    interval = int(usec) / 1e6

    def look() -> float:
        if scrape(interval / 4):
            notify("WATCHDOG=1")
        else:
            _log.error("the exporter cannot scrape itself; unless that changes, systemd will restart it")
        return interval / 4

    return BackgroundThread("watchdog", look)
