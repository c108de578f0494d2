"""Listening: one thread a connection, a bounded number of them, none waiting for another."""

import logging
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import Any, Final

from exporter.config.model import Address
from exporter.errors import RefusedError
from exporter.web.handler import Handler, Site

_log = logging.getLogger(__name__)

_MOST_CONNECTIONS: Final = 256  # threads; a Prometheus needs one


class Server(ThreadingHTTPServer):
    """One listening socket, accepted from in a thread of its own."""

    daemon_threads = True
    block_on_close = False  # stop() waits for answers under way itself, and not for idle connections
    request_queue_size = 128
    site: Site

    def __init__(self, address: Address, site: Site) -> None:
        """Bind and listen. Raises RefusedError where the system says no."""
        self.site = site
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="accept", daemon=True)
        host, port = address
        try:
            self._resolve(host, port)
            super().__init__((host or self._any, port), Handler)
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise RefusedError(
                f"cannot listen on {where}: {error.strerror or error}; choose another --web.listen-address"
            ) from None
        except OverflowError:
            raise RefusedError(f"cannot listen on port {port}: it is not one of 0 to 65535") from None

    def _resolve(self, host: str, port: int) -> None:
        self._any = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  # the default of every exporter
        found = socket.getaddrinfo(host or self._any, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]

    def server_bind(self) -> None:
        """An empty host serves IPv4 on the IPv6 socket too; [::] given as such does so as well, as in Go."""
        if self.address_family == socket.AF_INET6:
            dual = self.server_address[0] == "::"
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def start(self) -> None:
        """Accept connections from now on."""
        host, port = self.server_address[:2]
        where = f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"
        _log.info("listening", extra={"fields": {"address": where}})
        self._thread.start()

    def stop(self) -> None:
        """Accept no more, and close the socket; threads that answer go on."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the connection to a thread of its own, or close it if there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started that would release it; the server closes the connection
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, until it closes."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # socketserver's signature
        """Log a disconnect at debug level, as it is expected, and anything else as an error."""
        level = logging.DEBUG if isinstance(sys.exception(), ConnectionError | TimeoutError) else logging.ERROR
        _log.log(level, "connection failed", exc_info=True, extra={"fields": {"client": client_address[0]}})
