"""The Dockerfile builds, and its container serves /metrics as a user without rights."""

import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.support.kernel import make
from tests.support.needs import missing, need, need_root
from tests.support.prometheus import free_port

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}  # needs no container engine


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("queues")
def test_the_container_serves_metrics() -> None:
    """Built with buildah, started in this IPC namespace, it exports the test's own queue."""
    need("buildah")
    need_root()
    dockerfile = (ROOT / "Dockerfile").read_text()
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert base
    there = subprocess.run(
        ["buildah", "inspect", "--type", "image", base[1]], capture_output=True, check=False, env=ENVIRONMENT
    )
    if there.returncode:
        missing(f"the base image is not there; run: STORAGE_DRIVER=vfs buildah pull {base[1]}")
    tag = f"localhost/openvpn-mq-exporter-test-{os.getpid()}"
    container = ""
    try:
        buildah("bud", "--pull-never", "--network", "host", "--build-arg", "REVISION=abc123", "-t", tag, str(ROOT))
        inspected = json.loads(buildah("inspect", "--type", "image", tag))["OCIv1"]["config"]
        assert inspected["User"] == "65534:65534"
        assert inspected["Entrypoint"] == ["openvpn-mq-exporter"]
        make(0x4F560001, b"twelve bytes")
        container = buildah("from", "--pull-never", tag)
        port = free_port()
        address = f"127.0.0.1:{port}"
        process = subprocess.Popen(
            ["buildah", "run", "--ipc", "host", "--network", "host", container, "--", "openvpn-mq-exporter",
             f"--web.listen-address={address}"],
            env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        log: list[str] = []
        assert process.stderr
        reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            page = wait_for_page(f"http://{address}/metrics", process, log)
            assert 'sysv_msg_queue_bytes{queue="0x4f560001"} 12\n' in page
            assert 'revision="abc123"' in page
            assert effective_users(port) == {"65534"}
        finally:
            for pid in serving(port):
                os.kill(pid, 15)
            process.wait(30)
            reader.join(10)
            process.stderr.close()
    finally:
        if container:
            buildah("rm", container)
        subprocess.run(["buildah", "rmi", tag], capture_output=True, check=False, env=ENVIRONMENT)


def wait_for_page(url: str, process: subprocess.Popen[str], log: list[str]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return requests.get(url, timeout=10).text
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"the container does not serve; it says {log}")


def serving(port: int) -> list[int]:
    """Pids of the exporter in the container: it runs in this pid namespace or in one below, and is seen from here."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--web.listen-address=127.0.0.1:{port}".encode() in words and b"python" in words[0]:
            pids.append(int(folder.name))
    return pids


def effective_users(port: int) -> set[str]:
    return {Path(f"/proc/{pid}/status").read_text().partition("\nUid:")[2].split()[1] for pid in serving(port)}
