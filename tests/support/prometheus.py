"""A real Prometheus that scrapes what the test tells it to."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.releases import OLD, Release


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Prometheus:
    """Its query API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's result: metric and value of each series."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def wait_for(self, expression: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The result, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := self.query(expression):
                return result
            time.sleep(0.2)
        raise AssertionError(f"{expression} has no result after {seconds} s")

    def targets(self) -> list[dict[str, Any]]:
        active: list[dict[str, Any]] = requests.get(f"{self.url}/api/v1/targets", timeout=30).json()["data"][
            "activeTargets"
        ]
        return active


@contextmanager
def serving(command: Sequence[str], url: str, log: Path, *, ready: str = "/-/ready") -> Iterator[None]:
    """Run a server of the Prometheus family; wait until it answers, end it when the block is left."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{url}{ready}", timeout=5).status_code == 200:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def prometheus(folder: Path, targets: Sequence[str], *, release: Release = OLD, **more: Any) -> Iterator[Prometheus]:
    """Scrapes `targets` every second as job openvpn-mq; `more` goes into its configuration."""
    settings = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    configuration = {
        "scrape_configs": [{"job_name": "openvpn-mq", "static_configs": [{"targets": list(targets)}]}],
        **more,
        "global": {**settings, **more.get("global", {})},
    }
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(configuration))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    storage = f"--storage.tsdb.path={folder / 'tsdb'}"
    command = [release.prometheus, f"--config.file={config}", storage, f"--web.listen-address={address}"]
    with serving(command, f"http://{address}", folder / "prometheus.log"):
        yield Prometheus(f"http://{address}")
