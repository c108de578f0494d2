"""`tls_server_config` of the web configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import yaml

from exporter.config.yamlnode import complain, mapping, sequence
from exporter.web.yamlvalues import flag, is_null, one_of, optional, text

ClientAuth = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
TlsVersion = Literal["TLS12", "TLS13"]

# Go's names of the suites that Go itself holds to be secure, and OpenSSL's. Those of TLS 1.3 cannot be chosen, there
# as here: they are always on.
CIPHER_SUITES: Final[Mapping[str, str]] = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


@dataclass(frozen=True)
class TlsSettings:
    """`tls_server_config`: each of certificate, key and client CA is a file's path, or PEM text in the file itself."""

    cert: Path | str
    key: Path | str
    client_auth: ClientAuth = "NoClientCert"
    client_ca: Path | str | None = None
    client_crl: Path | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    server_prefers: bool = True
    curves: tuple[str, ...] = ()


def read_tls(node: yaml.Node, folder: Path) -> TlsSettings | None:
    """Read `tls_server_config`; paths are relative to `folder`. Return None if it is empty. Raises BadInputError."""
    if is_null(node) or (isinstance(node, yaml.MappingNode) and not node.value):
        return None

    def file(node: yaml.Node) -> Path | None:
        name = text(node)
        return folder / name if name else None

    values = mapping(
        node,
        "tls_server_config",
        {
            "cert": text,
            "key": text,
            "client_ca": text,
            "cert_file": file,
            "key_file": file,
            "client_ca_file": file,
            "client_crl_file": file,
            "client_auth_type": _client_auth,
            "client_allowed_sans": optional(lambda node: tuple(sequence(node, "client_allowed_sans", text))),
            "min_version": _tls_version,
            "max_version": _tls_version,
            "cipher_suites": optional(
                lambda node: tuple(sequence(node, "cipher_suites", one_of(CIPHER_SUITES, "a secure cipher suite")))
            ),
            "prefer_server_cipher_suites": flag,
            "curve_preferences": optional(
                lambda node: tuple(sequence(node, "curve_preferences", one_of(CURVES, "a curve")))
            ),
        },
    )
    source: dict[str, Path | str] = {}
    for name in ("cert", "key", "client_ca"):
        inline, path = values.get(name), values.get(f"{name}_file")
        if inline and path:
            raise complain(node, f"tls_server_config has both {name} and {name}_file; give one of the two")
        source[name] = path or inline or ""
    for name in ("cert", "key"):
        if not source[name]:
            raise complain(node, f"tls_server_config needs {name}_file (or {name}, with the PEM text itself)")
    settings = TlsSettings(
        cert=source["cert"],
        key=source["key"],
        client_auth=values.get("client_auth_type", "NoClientCert"),
        client_ca=source["client_ca"] or None,
        client_crl=values.get("client_crl_file"),
        client_allowed_sans=values.get("client_allowed_sans") or (),
        min_version=values.get("min_version", "TLS12"),
        max_version=values.get("max_version", "TLS13"),
        cipher_suites=values.get("cipher_suites") or (),
        server_prefers=values.get("prefer_server_cipher_suites", True),
        curves=values.get("curve_preferences") or (),
    )
    _check_clients(node, settings)
    if settings.min_version > settings.max_version:
        raise complain(node, "min_version is above max_version")
    for_tls12 = any(CIPHER_SUITES[suite] for suite in settings.cipher_suites)
    if settings.max_version == "TLS12" and settings.cipher_suites and not for_tls12:
        raise complain(node, "cipher_suites names suites of TLS 1.3 only, which max_version excludes")
    return settings


def _check_clients(node: yaml.Node, settings: TlsSettings) -> None:
    asked = settings.client_auth != "NoClientCert"
    if settings.client_ca and not asked:
        raise complain(node, "there is a client CA, but client_auth_type does not ask for client certificates")
    if asked and not settings.client_ca:
        raise complain(node, f"client_auth_type {settings.client_auth} needs client_ca_file, to check them against")
    if settings.client_crl and not asked:
        raise complain(node, "client_crl_file needs client_auth_type: RequireAndVerifyClientCert")
    if settings.client_allowed_sans and settings.client_auth != "RequireAndVerifyClientCert":
        raise complain(node, "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")


def _client_auth(node: yaml.Node) -> str:
    value = text(node) or "NoClientCert"
    if value in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
        raise complain(
            node,
            f"client_auth_type {value} takes certificates without checking them, which protects nothing and which "
            "OpenSSL does not offer here; use RequireAndVerifyClientCert or VerifyClientCertIfGiven",
        )
    if value not in get_args(ClientAuth):
        raise complain(node, f"{value!r} is not a client_auth_type; known are: {', '.join(get_args(ClientAuth))}")
    return value


def _tls_version(node: yaml.Node) -> str:
    value = text(node)
    if value in ("TLS10", "TLS11"):
        raise complain(node, f"{value} is broken and not offered; use TLS12 or TLS13")
    if value not in get_args(TlsVersion):
        raise complain(node, f"{value!r} is not a TLS version; known are: {', '.join(get_args(TlsVersion))}")
    return value
