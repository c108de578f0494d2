"""A real OpenVPN, found and watched by the running program without a word of configuration."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.discovery.finder import Finder
from tests.support.openvpn import Lab, OpenVpn, pki, wait_until
from tests.support.program import running


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def proc_of(folder: Path, *pids: int) -> Path:
    """A /proc with these processes alone: other tests run their OpenVPN on this host, too."""
    folder.mkdir()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (1, *pids):
            (folder / entry.name).symlink_to(entry)
    return folder


def own_pid(process: OpenVpn) -> int:
    """The pid of the OpenVPN itself, which nsenter has become."""
    return process.process.pid


def test_it_is_found_as_its_administrator_wrote_it(lab: Lab, tmp_path: Path) -> None:
    """Quoting, an inline block and a nested file; OpenVPN has accepted them, and says the pool's size itself."""
    nested = lab.folder / "nested.conf"
    nested.write_text("max-clients 77\nmute 5\n")
    script = lab.script("connect", "exit 0")
    ca = Path(pki().options("server")[0].split()[1]).read_text()
    server = lab.server(
        f"config {nested}",
        f"client-connect \"{script} 'two words'\"",
        f"<ca>\n{ca}</ca>",
        "verb 4",
        "management-log-cache 10",
        name="real",
    )
    try:
        server.wait_for("IFCONFIG POOL IPv4")
        size = re.search(r"IFCONFIG POOL IPv4: base=10.8.0.2 size=(\d+)", server.text())
        assert size
        found = Finder(proc_of(tmp_path / "proc", own_pid(server))).find()
        (one,) = found
        assert (one.name, one.mode, one.max_clients, one.options.mute, one.options.verb) == ("real", "server", 77, 5, 4)
        assert one.address_pool_size == int(size[1])
        assert (one.log, one.status, one.options.status_interval) == (server.log, server.status, 1)
        assert one.options.scripts[0].words == (str(script), "two words")
        assert f"OpenVPN {one.version} " in server.text()
        assert (one.certificates[0].kind, one.certificates[0].inline) == ("ca", ca)
        assert one.options.faults == ()
    finally:
        server.stop()


@pytest.mark.slow
def test_the_program_watches_what_it_finds_while_it_runs(lab: Lab, tmp_path: Path) -> None:
    server = lab.server("max-clients 5", name="found")
    procfs = proc_of(tmp_path / "proc", own_pid(server))
    config = tmp_path / "config.yml"
    config.write_text("discovery: {management: true}\n")
    with running("--openvpn.discovery", f"--path.procfs={procfs}", f"--config.file={config}") as program:
        wait_until(lambda: program.value("openvpn_max_clients", server="found") == 5, "it is found")
        labels = {"config": str(server.config), "unit": "", "mode": "server"}
        version = re.search(r"OpenVPN (2\.\S+) ", server.text())
        assert version
        assert program.value("openvpn_instance_info", server="found", version=version[1], **labels) == 1
        assert program.value("openvpn_instance_unreadable_files", server="found", source="status") == 0
        expiry = program.value("openvpn_certificate_expiry_timestamp_seconds", server="found", kind="cert")
        assert expiry is not None
        assert program.value("openvpn_mq_scrape_collector_success", collector="discovery") == 1
        wait_until(lambda: program.value("openvpn_management_up", server="found") == 1, "it is polled")
        wait_until(lambda: program.value("openvpn_status_state", server="found", state="ok") == 1, "status is read")
        assert program.value("openvpn_log_lines_total", server="found") is not None
        server.stop()
        (procfs / str(own_pid(server))).unlink()
        lines = program.value("openvpn_log_lines_total", server="found")
        assert lines is not None
        wait_until(lambda: program.value("openvpn_instance_running", server="found") == 0, "it has ended", patience=70)
        assert "openvpn_instance_info{" not in program.page()
        assert (program.value("openvpn_log_lines_total", server="found") or 0.0) >= lines  # its last words


def test_nothing_is_looked_for_if_it_is_switched_off(lab: Lab, tmp_path: Path) -> None:
    server = lab.server(name="off")
    procfs = proc_of(tmp_path / "proc", own_pid(server))
    with running("--no-openvpn.discovery", f"--path.procfs={procfs}") as program:
        page = program.page()
        assert "openvpn_instance_info" not in page
        assert 'collector="discovery"' not in page


def test_a_single_look_has_what_is_found(lab: Lab, tmp_path: Path) -> None:
    """For the textfile collector; a log line from cron every minute would be one too many."""
    server = lab.server(name="once")
    wait_until(lambda: server.status.exists() and "END" in server.status.read_text(), "the status file is there")
    procfs = proc_of(tmp_path / "proc", own_pid(server))
    command = [sys.executable, "-m", "exporter", "--once", f"--path.procfs={procfs}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'openvpn_status_update_time_seconds{server="once"} ' in done.stdout
    assert 'openvpn_instance_running{server="once"} 1' in done.stdout
    assert done.stderr == ""
