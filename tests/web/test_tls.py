"""TLS as the web configuration asks for it: over real sockets, with real certificates."""

import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.exposition.families import Metric
from tests.support.certificates import Authority, Issued
from tests.support.program import Program, running
from tests.support.web import Serving, serving
from tests.web.conftest import hashed

ONE = Metric("one", "gauge", "One.")
REFUSED = (ssl.SSLError, ConnectionError)  # with TLS 1.3, a client learns of it after its own handshake


def web_config(folder: Path, **content: Any) -> Path:
    """The file; JSON is YAML."""
    path = folder / "web.yml"
    path.write_text(json.dumps(content))
    return path


def server_of(issued: Issued) -> dict[str, Any]:
    """Paths relative to the file's own folder."""
    return {"cert_file": issued.cert.name, "key_file": issued.key.name}


def served(config: Path) -> Any:
    return serving(lambda _query: [ONE.family([1])], web_config=config)


def client(authority: Authority | None, certificate: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.cert if authority else None)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


def status(site: Serving, context: ssl.SSLContext, path: str = "/metrics") -> int:
    """Of one GET over a connection of its own. Raises OSError if the server does not want to talk."""
    with (
        socket.create_connection(site.address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = secured.recv(65536)
        if not answer:
            raise ConnectionResetError("closed without an answer")
        return int(answer.split()[1])


def test_https(authority: Authority, tmp_path: Path) -> None:
    """Served under the authority's name, and not in plain; plain HTTP is told what is wrong."""
    with served(web_config(tmp_path, tls_server_config=server_of(authority.issue("server")))) as site:
        assert status(site, client(authority)) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            status(site, client(None))
        answer = requests.get(site.url, timeout=10)
        assert answer.status_code == 400
        assert "this port speaks HTTPS" in answer.text


def test_inline_pem(authority: Authority, tmp_path: Path) -> None:
    """Certificate, key and client CA in the file itself."""
    server, ann = authority.issue("server"), authority.issue("ann")
    tls = {
        "cert": server.cert.read_text(),
        "key": server.key.read_text(),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca": authority.cert.read_text(),
    }
    with served(web_config(tmp_path, tls_server_config=tls)) as site:
        assert status(site, client(authority, ann)) == 200
        with pytest.raises(REFUSED):
            status(site, client(authority))


def mutual(authority: Authority, **more: Any) -> dict[str, Any]:
    return {
        **server_of(authority.issue("server")),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.cert),
        **more,
    }


def test_client_certificates(authority: Authority, tmp_path: Path) -> None:
    """Missing, expired, of another authority, and revoked ones are refused; a good one goes on being served."""
    other = Authority(tmp_path, "other")
    good, revoked = authority.issue("good"), authority.issue("revoked")
    expired, foreign = authority.issue("expired", days=-1), other.issue("foreign")
    crl = authority.revoke(revoked.serial)
    tls = mutual(authority, client_crl_file=crl.name)
    with served(web_config(tmp_path, tls_server_config=tls)) as site:
        for refused in (None, expired, foreign, revoked):
            with pytest.raises(REFUSED):
                status(site, client(authority, refused))
            assert status(site, client(authority, good)) == 200


def test_a_revocation_list_that_has_ended_refuses_all(authority: Authority, tmp_path: Path) -> None:
    crl = authority.revoke(days=-1)
    tls = mutual(authority, client_crl_file=crl.name)
    with served(web_config(tmp_path, tls_server_config=tls)) as site, pytest.raises(REFUSED):
        status(site, client(authority, authority.issue("good")))


def test_allowed_names(authority: Authority, tmp_path: Path) -> None:
    """Any alternative name will do, an IPv6 address in whichever spelling."""
    ann, bob = authority.issue("ann", dns="ann.example"), authority.issue("bob", dns="bob.example")
    tls = mutual(authority, client_allowed_sans=["ann.example", "::0001"])
    with served(web_config(tmp_path, tls_server_config=tls)) as site:
        assert status(site, client(authority, ann)) == 200
        with pytest.raises(REFUSED):
            status(site, client(authority, bob))


def test_certificates_are_optional(authority: Authority, tmp_path: Path) -> None:
    """VerifyClientCertIfGiven: none is fine, a wrong one is not."""
    foreign = Authority(tmp_path, "other").issue("foreign")
    tls = {**mutual(authority), "client_auth_type": "VerifyClientCertIfGiven"}
    with served(web_config(tmp_path, tls_server_config=tls)) as site:
        assert status(site, client(authority)) == 200
        with pytest.raises(REFUSED):
            status(site, client(authority, foreign))


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        ({"min_version": "TLS13"}, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2),
        ({"max_version": "TLS12"}, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ({"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2),
    ],
)
def test_versions(
    settings: dict[str, Any], accepted: ssl.TLSVersion, refused: ssl.TLSVersion, authority: Authority, tmp_path: Path
) -> None:
    with served(web_config(tmp_path, tls_server_config={**server_of(authority.issue("server")), **settings})) as site:
        for version in (accepted, refused):
            context = client(authority)
            context.minimum_version = context.maximum_version = version
            if version is accepted:
                assert status(site, context) == 200
            else:
                with pytest.raises(REFUSED):
                    status(site, context)


def test_cipher_suites_and_curves(authority: Authority, tmp_path: Path) -> None:
    """What is not listed is not spoken."""
    tls = {
        **server_of(authority.issue("server")),
        "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        "curve_preferences": ["CurveP384"],
    }
    with served(web_config(tmp_path, tls_server_config=tls)) as site:
        context = client(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        assert status(site, context) == 200
        context.set_ecdh_curve("prime256v1")
        with pytest.raises(REFUSED):
            status(site, context)
        other = client(authority)
        other.maximum_version = ssl.TLSVersion.TLSv1_2
        other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(REFUSED):
            status(site, other)


@pytest.fixture
def program(authority: Authority, tmp_path: Path) -> Iterator[Program]:
    """The whole exporter, with TLS and a password."""
    authority.issue("server", days=20)
    config = web_config(
        tmp_path,
        tls_server_config={"cert_file": "server.pem", "key_file": "server.key"},
        basic_auth_users={"ann": hashed("first")},
    )
    with running(f"--web.config.file={config}", "--collector.disable-defaults", "--collector.limits") as program:
        yield program
        assert program.stop() == 0


def fetch(program: Program, authority: Authority, password: str, path: str = "/metrics") -> requests.Response:
    url = f"https://{program.addresses()[0]}{path}"
    return requests.get(url, auth=("ann", password), verify=str(authority.cert), timeout=10)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def expiry(page: str) -> float:
    (line,) = (line for line in page.splitlines() if line.startswith("openvpn_mq_exporter_certificate_expiry_"))
    return float(line.split()[1])


def test_certificates_and_users_are_exchanged_while_it_runs(
    program: Program, authority: Authority, tmp_path: Path
) -> None:
    """Both take effect without a restart, and the metric follows; while they do not match, the old ones serve."""
    page = fetch(program, authority, "first").text
    before = expiry(page)
    after = authority.issue("server", days=10)
    assert before - after.expiry == pytest.approx(10 * 86400, abs=60)
    eventually(lambda: expiry(fetch(program, authority, "first").text) == after.expiry)

    web_config(
        tmp_path,
        tls_server_config={"cert_file": "server.pem", "key_file": "server.key"},
        basic_auth_users={"ann": hashed("second")},
    )
    eventually(lambda: fetch(program, authority, "second").status_code == 200)
    assert fetch(program, authority, "first").status_code == 401

    (tmp_path / "server.pem").write_text("garbage")
    eventually(
        lambda: "openvpn_mq_exporter_config_last_reload_successful 0" in fetch(program, authority, "second").text
    )
    assert any("server.pem" in line and "level=warn" in line for line in program.log)
    authority.issue("server", days=15)
    eventually(
        lambda: "openvpn_mq_exporter_config_last_reload_successful 1" in fetch(program, authority, "second").text
    )


def test_a_pipe_in_place_of_a_key_is_not_waited_for(program: Program, authority: Authority, tmp_path: Path) -> None:
    """It is a fault like another one, and what comes after it takes effect."""
    key = tmp_path / "server.key"
    good = key.read_bytes()
    program.addresses()
    key.unlink()
    os.mkfifo(key)
    successful = "openvpn_mq_exporter_config_last_reload_successful"
    eventually(lambda: f"{successful} 0" in fetch(program, authority, "first").text)
    assert any("server.key: not a regular file" in line for line in program.log)
    key.unlink()
    key.write_bytes(good)
    eventually(lambda: f"{successful} 1" in fetch(program, authority, "first").text)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/elsewhere"])
def test_every_path_needs_the_password(path: str, program: Program, authority: Authority) -> None:
    answer = fetch(program, authority, "wrong", path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert fetch(program, authority, "first", path).status_code != 401


def test_a_connection_made_before_an_exchange_does_not_outlive_it(authority: Authority, tmp_path: Path) -> None:
    """Or a client whose certificate has been revoked would go on with its open connection."""
    ann = authority.issue("ann")
    authority.revoke()
    config = web_config(tmp_path, tls_server_config=mutual(authority, client_crl_file="crl.pem"))
    with (
        served(config) as site,
        socket.create_connection(site.address, timeout=10) as plain,
        client(authority, ann).wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in secured.recv(65536)
        authority.revoke(ann.serial)
        site.live.apply(site.live.read())
        secured.settimeout(10)
        assert secured.recv(1) == b""
        with pytest.raises(REFUSED):
            status(site, client(authority, ann))


def test_a_unix_socket_for_a_proxy(authority: Authority, tmp_path: Path) -> None:
    """Without TLS, which is the proxy's, but with the password; what a former run left behind is replaced."""
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    authority.issue("server")
    config = web_config(
        tmp_path,
        tls_server_config={"cert_file": "server.pem", "key_file": "server.key"},
        basic_auth_users={"ann": hashed("first")},
    )
    with running(f"--web.listen-address=unix:{path}", f"--web.config.file={config}") as program:
        assert program.addresses() == [f"unix:{path}"]
        for header, wanted in (("", b"401"), ("Authorization: Basic YW5uOmZpcnN0\r\n", b"200")):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(path))
                sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
                assert sock.recv(65536).split()[1] == wanted
        with running(f"--web.listen-address=unix:{path}") as second:
            assert second.process.wait(20) == 1
            second.stop()
            assert "Address already in use" in second.log[-1]
        assert program.stop() == 0
        assert not path.exists()
