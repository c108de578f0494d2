"""The exporter as a process of its own, as an operator runs it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(page: str) -> Samples:
    """Every sample of a page by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


class Program:
    """A running exporter: its addresses, its log lines, its pages."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.log.extend(line.rstrip("\n") for line in iter(self.process.stderr.readline, ""))

    def addresses(self, count: int = 1) -> list[str]:
        """Where it listens, once it does, as HOST:PORT."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = [match[1] for line in list(self.log) if (match := re.search(r"msg=listening address=(\S+)", line))]
            if len(found) >= count:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"it does not listen; it says {self.log}")

    @property
    def url(self) -> str:
        return f"http://{self.addresses()[0]}"

    def page(self, **headers: str) -> str:
        answer = requests.get(f"{self.url}/metrics", headers=headers, timeout=30)
        assert answer.status_code == 200
        return answer.text

    def samples(self) -> Samples:
        return samples(self.page())

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, frozenset(labels.items())))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit status once it has."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self._reader.join(timeout=10)
        return status


@contextmanager
def running(
    *flags: str, before: Sequence[str] = (), cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Start the exporter on a free port of 127.0.0.1 (unless the flags say where), in this IPC namespace.

    It does not look for OpenVPN unless the flags say so: other tests run theirs on this host at the same time.
    `before` runs it, as strace does; `env` goes on top of our own environment.
    """
    if not any("openvpn.discovery" in flag for flag in flags):
        flags = ("--no-openvpn.discovery", *flags)
    listen = [] if any("listen-address" in flag for flag in flags) else ["--web.listen-address=127.0.0.1:0"]
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "exporter", *listen, *flags],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=cwd,
        start_new_session=True,  # so that what runs below a tracer ends with it
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    program = Program(process)
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        program._reader.join(timeout=10)  # noqa: SLF001  # the helper's own
        assert process.stderr
        process.stderr.close()
