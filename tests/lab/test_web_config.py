"""promtool is the judge: what it calls good is good here and what it calls bad is bad, or docs/web.md says why not."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter.errors import BadInputError
from exporter.web.live import LiveWebConfig
from tests.support.certificates import Authority
from tests.support.releases import NEW

TLS = "cert_file: server.pem, key_file: server.key"
HASH = "$2y$04$s1Ei26NbxFFHgrTR6vmIce4qo8vw6gPQtmW44u85PBLYwtOssJzx6"  # of "secret"

GOOD = [
    "",
    "# nothing",
    "tls_server_config:",
    "tls_server_config: {}",
    "http_server_config:",
    "basic_auth_users:",
    "basic_auth_users: {}",
    "rate_limit:",
    f"tls_server_config: {{{TLS}}}",
    f"tls_server_config: {{{TLS}, client_auth_type: NoClientCert}}",
    f"tls_server_config: {{{TLS}, client_auth_type: ''}}",
    f"tls_server_config: {{{TLS}, client_ca_file: ''}}",
    f"tls_server_config: {{{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}",
    f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}}",
    (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
        "client_allowed_sans: [a.example, 127.0.0.1]}"
    ),
    f"tls_server_config: {{{TLS}, min_version: TLS12, max_version: TLS13}}",
    f"tls_server_config: {{{TLS}, min_version: TLS13}}",
    f"tls_server_config: {{{TLS}, max_version: TLS12}}",
    f"tls_server_config: {{{TLS}, prefer_server_cipher_suites: false}}",
    f"tls_server_config: {{{TLS}, prefer_server_cipher_suites: yes}}",
    f"tls_server_config: {{{TLS}, curve_preferences: [X25519]}}",
    f"tls_server_config: {{{TLS}, curve_preferences: []}}",
    f"tls_server_config: {{{TLS}, cipher_suites: }}",
    f"tls_server_config: {{{TLS}, cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}}",
    (
        f"tls_server_config: {{{TLS}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]}"
    ),
    "tls_server_config: {cert: INLINE_CERT, key: INLINE_KEY}",
    "tls_server_config: {cert: INLINE_CERT, key_file: server.key}",
    (
        "tls_server_config: {cert: INLINE_CERT, key: INLINE_KEY, client_ca: INLINE_CA, "
        "client_auth_type: RequireAndVerifyClientCert}"
    ),
    "http_server_config: {http2: false}",
    "http_server_config: {http2: true}",
    "http_server_config: {http2: off, headers: {}}",
    "http_server_config: {headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff}}",
    "http_server_config: {headers: {X-Frame-Options: sameorigin, X-XSS-Protection: '1', Content-Security-Policy: a b}}",
    "http_server_config: {headers: {Strict-Transport-Security: max-age=1, X-XSS-Protection: ''}}",
    f"basic_auth_users: {{ann: {HASH}, bob: {HASH.replace('$2y', '$2a')}, eve: {HASH.replace('$2y', '$2b')}}}",
    "rate_limit: {interval: 1s, burst: 5}",
    "rate_limit: {interval: 1m30s, burst: 1}",
    "rate_limit: {interval: 1.5h, burst: 1}",
    "rate_limit: {interval: 1000000, burst: 1}",
    "rate_limit: {interval: 0s}",
    "rate_limit: {interval: 0}",
]
BAD = [
    "junk: 1",
    "[]",
    "text",
    "a: b: c",
    "tls_server_config: []",
    "tls_server_config: {junk: 1}",
    "tls_server_config: {cert_file: server.pem}",
    "tls_server_config: {key_file: server.key}",
    "tls_server_config: {cert: INLINE_CERT}",
    "tls_server_config: {cert_file: '', key_file: ''  , client_auth_type: RequireAndVerifyClientCert}",
    "tls_server_config: {cert_file: missing.pem, key_file: server.key}",
    "tls_server_config: {cert_file: server.pem, key_file: missing.key}",
    "tls_server_config: {cert_file: server.key, key_file: server.pem}",
    "tls_server_config: {cert_file: server.pem, key_file: other.key}",
    "tls_server_config: {cert_file: web.yml, key_file: server.key}",
    "tls_server_config: {cert: text, key: text}",
    f"tls_server_config: {{{TLS}, client_ca_file: ca.pem}}",
    f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: missing.pem}}",
    f"tls_server_config: {{{TLS}, client_auth_type: requireandverifyclientcert, client_ca_file: ca.pem}}",
    f"tls_server_config: {{{TLS}, client_auth_type: Whatever}}",
    f"tls_server_config: {{{TLS}, min_version: TLS14}}",
    f"tls_server_config: {{{TLS}, min_version: 1.2}}",
    f"tls_server_config: {{{TLS}, min_version: SSL30}}",
    f"tls_server_config: {{{TLS}, cipher_suites: [TLS_2048]}}",
    f"tls_server_config: {{{TLS}, cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256]}}",
    f"tls_server_config: {{{TLS}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}",
    f"tls_server_config: {{{TLS}, curve_preferences: [Curve25519]}}",
    f"tls_server_config: {{{TLS}, prefer_server_cipher_suites: perhaps}}",
    f"tls_server_config: {{{TLS}, cert_file: server.pem}}",
    "http_server_config: {http2: sometimes}",
    "http_server_config: {junk: 1}",
    "http_server_config: {headers: {Server: me}}",
    "http_server_config: {headers: {x-frame-options: deny}}",
    "http_server_config: {headers: {X-Frame-Options: DENY}}",
    "http_server_config: {headers: {X-Frame-Options: ''}}",
    "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
    "basic_auth_users: {ann: secret}",
    "basic_auth_users: {ann: }",
    "basic_auth_users: [ann]",
    f"basic_auth_users: {{ann: {HASH.replace('$04$', '$99$')}}}",
    f"basic_auth_users: {{ann: {HASH}, ann: {HASH}}}",
    "rate_limit: {interval: soon, burst: 1}",
    "rate_limit: {interval: 1d, burst: 1}",
    "rate_limit: {interval: 1s, burst: many}",
    f"rate_limit: {{interval: 1s, burst: {'9' * 400}}}",
    f'basic_auth_users: {{"\\ud800": {HASH}}}',
    'tls_server_config: {cert_file: "server\\0.pem", key_file: server.key}',
    'tls_server_config: {cert: "\\ud800", key: INLINE_KEY}',
]


class Difference(NamedTuple):
    """What promtool takes and the exporter refuses."""

    text: str
    told: str  # what docs/web.md calls it


STRICTER = [
    Difference("tls_server_config: {min_version: TLS13}", "TLS settings without a certificate"),
    Difference(f"tls_server_config: {{{TLS}, cert: INLINE_CERT}}", "a certificate twice"),
    Difference(f"tls_server_config: {{{TLS}, client_auth_type: RequestClientCert}}", "`RequestClientCert`"),
    Difference(f"tls_server_config: {{{TLS}, client_auth_type: RequireAnyClientCert}}", "`RequireAnyClientCert`"),
    Difference(f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert}}", "without a client CA"),
    Difference(f"tls_server_config: {{{TLS}, min_version: TLS10}}", "`TLS10`"),
    Difference(f"tls_server_config: {{{TLS}, min_version: TLS13, max_version: TLS12}}", "above `max_version`"),
    Difference(f"tls_server_config: {{{TLS}, curve_preferences: [X25519, CurveP256]}}", "several curves"),
    Difference("rate_limit: {interval: 1s}", "a burst of 0"),
    Difference(f"basic_auth_users: {{ann: {HASH[:-1]}}}", "a bcrypt hash that is cut short"),
    Difference(f"basic_auth_users: {{'a:b': {HASH}}}", "a colon in a user's name"),
    Difference("---\n{}\n---\n{}\n", "a second document"),
]
# The other way round: what the exporter takes and promtool does not know.
MORE = [
    (
        f"tls_server_config: {{{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
        "client_crl_file: crl.pem}"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, a revocation list and the like, beside the file."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority(folder)
    authority.issue("server")
    authority.issue("other")
    authority.revoke()
    return folder


def write(folder: Path, text: str) -> Path:
    def inline(match: re.Match[str]) -> str:
        pem = (folder / {"CERT": "server.pem", "KEY": "server.key", "CA": "ca.pem"}[match[1]]).read_text()
        return '"' + pem.replace("\n", "\\n") + '"'

    path = folder / "web.yml"
    path.write_text(re.sub("INLINE_(CERT|KEY|CA)", inline, text))
    return path


def promtool_takes(path: Path) -> bool:
    NEW.need()
    return subprocess.run([NEW.promtool, "check", "web-config", path], capture_output=True, check=False).returncode == 0


def exporter_takes(path: Path) -> bool:
    """Or it says in one line why not."""
    sentences = []
    try:
        LiveWebConfig(path)
    except BadInputError as error:
        sentences.append(str(error))
    assert all(re.fullmatch(r"[^\n]+", sentence) for sentence in sentences)
    return not sentences


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str, folder: Path) -> None:
    path = write(folder, text)
    assert promtool_takes(path)
    assert exporter_takes(path)


@pytest.mark.parametrize("text", BAD)
def test_bad(text: str, folder: Path) -> None:
    path = write(folder, text)
    assert not promtool_takes(path)
    assert not exporter_takes(path)


@pytest.mark.parametrize("difference", STRICTER, ids=lambda difference: difference.told)
def test_what_is_refused_here_only_is_documented(difference: Difference, folder: Path) -> None:
    path = write(folder, difference.text)
    assert promtool_takes(path)
    assert not exporter_takes(path)
    assert difference.told in (Path(__file__).parents[2] / "docs" / "web.md").read_text()


@pytest.mark.parametrize("text", MORE)
def test_what_is_taken_here_only_is_documented(text: str, folder: Path) -> None:
    path = write(folder, text)
    assert exporter_takes(path)
    assert not promtool_takes(path)
    assert "`client_crl_file`" in (Path(__file__).parents[2] / "docs" / "web.md").read_text()
