"""The drop-in that opens OpenVPN's files to the exporter, and hides everything else but what it needs itself."""

import os
import re
from pathlib import Path, PurePosixPath

import pytest

from exporter.check.grant import drop_in
from tests.check.conftest import proc_of, run
from tests.discovery.hosts import Host

ROOT = Path(__file__).parents[2]


def visible(*prefixes: str) -> list[PurePosixPath]:
    """Return what can be seen of the folders that are hidden, on a host without OpenVPN."""
    text = drop_in((), prefixes)
    return [PurePosixPath(path) for path in re.findall(r"^Bind(?:ReadOnly)?Paths=-?(.+)$", text, re.MULTILINE)]


def is_visible(path: str, *prefixes: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in visible(*prefixes))


@pytest.mark.parametrize("page", ["docs/web.md", "docs/runbooks/OpenvpnMqExporterCertificateExpiring.md"])
def test_the_web_configuration_of_the_documentation(page: str) -> None:
    """And the certificate and key that are relative to it."""
    found = re.findall(r"/etc/openvpn-mq-exporter/[a-z.]+", (ROOT / page).read_text())
    assert found
    assert all(map(is_visible, found))


def test_the_web_configuration_of_the_package() -> None:
    """Certificate and key beside it, too."""
    flags = (ROOT / "packages" / "files" / "openvpn-mq-exporter.default").read_text()
    (found,) = re.findall(r"--web\.config\.file=([^\"]+)", flags)
    assert is_visible(str(PurePosixPath(found).parent))


def test_an_installation_below_opt() -> None:
    """As docs/install.md makes it: the service could not start without it."""
    (folder,) = re.findall(r"-m venv (/\S+)", (ROOT / "docs" / "install.md").read_text())
    assert is_visible(f"{folder}/bin/openvpn-mq-exporter", folder, "/usr")
    assert not is_visible(folder)


def test_what_is_not_hidden_is_not_named() -> None:
    assert PurePosixPath("/usr") not in visible("/usr")
    assert PurePosixPath("/etc") not in visible()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def bound(host: Host) -> list[str]:
    """What the service sees of the files that OpenVPN names."""
    lines = drop_in(host.finder.find(), ()).splitlines()
    paths = [line.removeprefix("BindReadOnlyPaths=-") for line in lines if line.startswith("BindReadOnlyPaths=-")]
    return [path for path in paths if "vpn.example" in path]


def test_configuration_certificate_and_the_folder_of_the_status_file(host: Host) -> None:
    host.file("/etc/vpn.example/a.conf", "ca /etc/vpn.example/ca.crt\nstatus /run/vpn.example/status\n")
    host.process(500, ["openvpn", "--config", "/etc/vpn.example/a.conf"], cwd="/")
    assert bound(host) == ["/etc/vpn.example/a.conf", "/run/vpn.example", "/etc/vpn.example/ca.crt"]


def test_paths_in_a_container_are_not_those_of_the_host(host: Host) -> None:
    """On the host, something else may have the same path."""
    argv = ["openvpn", "--dev", "tun0", "--ca", "/etc/vpn.example/ca.crt", "--status", "/var/lib/vpn.example/status"]
    host.process(500, argv, cgroup="/system.slice/docker-0123456789abcdef.scope", cwd="/")
    assert bound(host) == []


@pytest.mark.parametrize("name", [os.fsdecode(b"b\xfcro"), "x\nExecStartPre=+/tmp/y"], ids=["not-utf8", "two-lines"])
def test_a_name_that_no_unit_can_have_in_it(host: Host, name: str) -> None:
    """Anybody can start a process called openvpn; root saves the text. A comment names what has to be renamed."""
    argv = ["openvpn", "--config", f"/vpn.example/{name}", "--ca", f"/vpn.example/{name}/ca"]
    host.process(500, [*argv, "--cert", "/vpn.example/c"], cwd="/")
    assert bound(host) == ["/vpn.example/c"]
    plain = Host(host.root / "plain")
    plain.process(500, ["openvpn", "--config", "/vpn.example/x", "--ca", "/vpn.example/y", "--cert", "/vpn.example/c"])
    usual = set(drop_in(plain.finder.find(), ()).splitlines())
    new = [line for line in drop_in(host.finder.find(), ()).splitlines() if line not in usual]
    assert all(line.startswith("#") and line.isprintable() for line in new)
    assert sum("Not bound" in line for line in new) == 1


def test_hidden_processes_are_a_sentence(tmp_path: Path) -> None:
    procfs = proc_of(tmp_path / "hidden")
    (procfs / "1").unlink()
    result = run("--access", f"--path.procfs={procfs}")
    assert (result.status, result.text) == (3, "")
    assert "hidepid" in result.errors
    assert result.errors.count("\n") == 1
