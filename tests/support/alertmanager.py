"""A real Alertmanager, and a listener that takes what it sends."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.support.prometheus import free_port, serving
from tests.support.releases import Release


class Delivery(NamedTuple):
    """One notification, as it came in."""

    path: str
    body: dict[str, Any]


class Listener:
    """Takes every POST on a port of 127.0.0.1, and keeps it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        deliveries = self.deliveries

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                deliveries.append(Delivery(self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def at(self, path: str) -> list[dict[str, Any]]:
        """What came to one path so far."""
        return [delivery.body for delivery in list(self.deliveries) if delivery.path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Alertmanager:
    """Its API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def alerts(self, name: str, **labels: str) -> list[dict[str, Any]]:
        """The active alerts of a name, each with its labels and its status."""
        answer = requests.get(f"http://{self.address}/api/v2/alerts", timeout=30)
        answer.raise_for_status()
        wanted = {"alertname": name, **labels}
        return [alert for alert in answer.json() if wanted.items() <= alert["labels"].items()]

    def wait_for(self, name: str, state: str, seconds: float, **labels: str) -> dict[str, Any]:
        """The one alert of that name and with these labels, as soon as it is there in that state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [alert for alert in self.alerts(name, **labels) if alert["status"]["state"] == state]
            if found:
                (alert,) = found
                return dict(alert)
            time.sleep(0.5)
        raise AssertionError(f"{name} {labels} is not {state} after {seconds} s: {self.alerts(name, **labels)}")


@contextmanager
def alertmanager(config: Path, release: Release) -> Iterator[Alertmanager]:
    """Runs with a configuration file; what it keeps goes beside that."""
    address = f"127.0.0.1:{free_port()}"
    storage = f"--storage.path={config.parent / 'alertmanager'}"
    alone = "--cluster.listen-address="
    command = [release.alertmanager, f"--config.file={config}", storage, alone, f"--web.listen-address={address}"]
    with serving(command, f"http://{address}", config.with_suffix(".log")):
        yield Alertmanager(address)
