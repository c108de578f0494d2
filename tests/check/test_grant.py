"""The drop-in that opens OpenVPN's files to the exporter, and hides everything else but what it needs itself."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from exporter.check.grant import drop_in as make_drop_in
from exporter.check.rights import is_public
from exporter.config.load import load
from exporter.config.model import Config
from exporter.discovery.instance import Instance
from tests.check.conftest import proc_of, run
from tests.discovery.hosts import Host
from tests.support.folders import open_folder

ROOT = Path(__file__).parents[2]


def drop_in(instances: Sequence[Instance], prefixes: Sequence[str], config: Config | None = None) -> str:
    return make_drop_in(instances, prefixes, config or Config(), is_public)


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


def bound(host: Host, config: Config | None = None, *, every: bool = False) -> list[str]:
    """What the service sees of the files that OpenVPN names."""
    lines = drop_in(host.finder.find(), (), config).splitlines()
    paths = [line.removeprefix("BindReadOnlyPaths=-") for line in lines if line.startswith("BindReadOnlyPaths=-")]
    return [path for path in paths if every or "vpn.example" in path]


def test_configuration_certificate_and_the_folder_of_the_status_file(host: Host) -> None:
    host.file("/etc/vpn.example/a.conf", "ca /etc/vpn.example/ca.crt\nstatus /run/vpn.example/status\n")
    host.process(500, ["openvpn", "--config", "/etc/vpn.example/a.conf"], cwd="/")
    assert bound(host) == ["/etc/vpn.example/a.conf", "/run/vpn.example", "/etc/vpn.example/ca.crt"]


@pytest.mark.parametrize("folder", ["/root", "/home", "/srv", "/opt", "/var/lib", "/var/log", "/run", "/etc/openvpn"])
def test_no_folder_of_others_is_bound_for_a_file_in_it(host: Host, folder: str) -> None:
    """A status file there opens itself, and not everything beside it; in a home, not even that."""
    host.process(500, ["openvpn", "--dev", "tun0", "--status", f"{folder}/vpn.example"], cwd="/")
    assert PurePosixPath(folder) not in map(PurePosixPath, bound(host, every=True))
    assert bound(host) == ([] if folder in ("/root", "/home") else [f"{folder}/vpn.example"])


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


def comments(host: Host, config: Config | None = None) -> list[str]:
    return [line for line in drop_in(host.finder.find(), (), config).splitlines() if line.startswith("#")]


def configured(folder: Path, text: str) -> Config:
    path = folder / "exporter.yml"
    path.write_text(text)
    return load(path)


def test_addresses_by_name() -> None:
    """`management localhost 7505`, as most have it, and a name to listen on."""
    assert all(map(is_visible, ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf")))


def test_the_management_password_if_it_is_needed(host: Host, tmp_path: Path) -> None:
    """It is a secret: not bound as long as nothing polls."""
    words = ["openvpn", "--dev", "tun0", "--management", "localhost", "7505", "/etc/vpn.example/password"]
    host.process(500, words, cwd="/")
    assert bound(host) == []
    assert bound(host, configured(tmp_path, "discovery: {management: true}\n")) == ["/etc/vpn.example/password"]
    host.end(500)
    host.process(500, [*words, "--management-hold"], cwd="/")
    assert bound(host, configured(tmp_path, "discovery: {management: true}\n")) == []


def test_what_only_the_configuration_of_the_exporter_names(host: Host, tmp_path: Path) -> None:
    text = """
servers:
  - name: a
    log: /var/log/vpn.example.log
    status: /run/vpn.example/status
    management: unix:/run/vpn.example/socket
    management_password_file: /etc/vpn.example/password
  - name: b
    journal: openvpn@b.service
    hooks: /srv/vpn.example/hooks.jsonl
    management: tcp:127.0.0.1:7505
"""
    assert bound(host, configured(tmp_path, text)) == [
        "/var/log/vpn.example.log",
        "/run/vpn.example",
        "/etc/vpn.example/password",
        "/srv/vpn.example",
    ]


def test_what_is_in_a_home_directory_is_named_and_not_bound(host: Host) -> None:
    """The unit has ProtectHome=yes, below which nothing can be bound: the line would have no effect."""
    words = ["--ca", "/root/vpn.example/ca", "--status", "/home/ann/vpn.example/status"]
    host.process(500, ["openvpn", *words, "--down", "/root/vpn.example/x"], cwd="/")
    assert bound(host) == []
    told = [line for line in comments(host) if "vpn.example" in line]
    assert [line.rpartition(" ")[2] for line in told] == ["/home/ann/vpn.example", "/root/vpn.example/ca"]
    assert all("home" in line for line in told)


def test_scripts_are_bound_if_everybody_may_read_them(host: Host, tmp_path: Path) -> None:
    """Only the inode counts. One that is closed is offered in a comment; one that is not hidden needs no line."""
    with open_folder("/var/tmp") as folder:  # noqa: S108  # hidden, and open to all
        files = {name: folder / f"vpn.example-{name}" for name in ("open", "closed", "folder", "ftok")}
        for name, file in files.items():
            file.mkdir() if name == "folder" else file.touch()
            file.chmod(0o700 if name == "closed" else 0o755)
        hooks = {"up": "open", "down": "closed", "ipchange": "folder"}
        words = [f"--{hook} {files[name]}" for hook, name in hooks.items()]
        words += ["--tls-verify /usr/local/lib/vpn.example", "--route-up /etc/vpn.example/none"]
        argv = [word for option in words for word in option.split()]
        host.process(500, ["openvpn", "--dev", "tun0", *argv], cwd="/")
        config = configured(tmp_path, f"queues: {{names: [{{name: q, ftok: {{path: {files['ftok']}, id: 1}}}}]}}\n")
        assert bound(host, config) == [str(files["open"]), str(files["ftok"])]
        offered = [line for line in comments(host, config) if line.startswith("#BindReadOnlyPaths=-")]
        closed = [files["closed"], files["folder"]]
        assert sorted(offered) == sorted(f"#BindReadOnlyPaths=-{path}" for path in closed)


def test_no_line_comes_twice(host: Host) -> None:
    host.process(500, ["openvpn", "--dev", "tun0", "--log", "/var/log/openvpn-mq/vpn.example"], cwd="/")
    lines = [line for line in drop_in(host.finder.find(), ()).splitlines() if line.startswith("Bind")]
    assert len(set(lines)) == len(lines)


def test_hidden_processes_are_a_sentence(tmp_path: Path) -> None:
    procfs = proc_of(tmp_path / "hidden")
    (procfs / "1").unlink()
    result = run("--access", f"--path.procfs={procfs}")
    assert (result.status, result.text) == (3, "")
    assert "hidepid" in result.errors
    assert result.errors.count("\n") == 1
