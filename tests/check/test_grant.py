"""The drop-in that opens OpenVPN's files to the exporter, and hides everything else but what it needs itself."""

import re
from pathlib import Path, PurePosixPath

import pytest

from exporter.check.grant import drop_in

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
