"""TLS: contexts of OpenSSL made of `tls_server_config`, and the names in a client's certificate."""

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.errors import BadInputError
from exporter.exposition.families import Metric
from exporter.files import read_named
from exporter.openvpn.certificates import certificate_expiries
from exporter.web.tlsconfig import CIPHER_SUITES, CURVES, TlsSettings

CERTIFICATE_EXPIRY: Final = Metric(
    "openvpn_mq_exporter_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the exporter's own certificate ends: the earliest notAfter in its cert_file as it is used now.",
)
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "it does not belong to the key",
    "EE_KEY_TOO_SMALL": "its key is too small; make a new one",
    "CA_MD_TOO_WEAK": "it is signed with a weak algorithm; make a new one",
    "NO_START_LINE": "there is no certificate or key in it",
    "PEM lib": "the certificate or the key is not PEM",
    "BAD_DECRYPT": "the key is encrypted; take the password off it",
}
_MAX_FILE: Final = 1 << 20  # bytes


class Material(NamedTuple):
    """The contents of the files that the settings name."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    client_crl: bytes | None


class Tls(NamedTuple):
    """What connections are made with."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str]  # empty: any
    expiry: float  # of our own certificate, in seconds since 1970


def read_material(settings: TlsSettings) -> Material:
    """Read all files. Raises BadInputError."""

    def read(source: Path | str | None, what: str) -> bytes:
        if not isinstance(source, Path):
            return (source or "").encode()
        try:
            return read_named(source, _MAX_FILE)
        except OSError as error:
            raise BadInputError(f"cannot read {what} {source}: {error.strerror}") from None

    return Material(
        read(settings.cert, "cert_file"),
        read(settings.key, "key_file"),
        read(settings.client_ca, "client_ca_file") if settings.client_ca else None,
        read(settings.client_crl, "client_crl_file") if settings.client_crl else None,
    )


def make_tls(settings: TlsSettings, material: Material) -> Tls:
    """Make a context. Raises BadInputError if OpenSSL does not take what it is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.maximum_version = _VERSIONS[settings.max_version]
    # No session tickets: a resumed session would carry a client certificate past a newer revocation list.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    _choose_ciphers(context, settings)
    _load_own(context, settings, material)
    context.verify_mode = _CLIENT_AUTH[settings.client_auth]
    if material.client_ca is not None:
        _load(context, material.client_ca, f"client_ca_file {_named(settings.client_ca)}", "CERTIFICATE")
    if material.client_crl is not None:
        _load(context, material.client_crl, f"client_crl_file {settings.client_crl}", "X509 CRL")
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return Tls(context, frozenset(map(_normal, settings.client_allowed_sans)), _expiry(settings, material))


def _expiry(settings: TlsSettings, material: Material) -> float:
    try:
        return min(certificate_expiries(material.cert))
    except ValueError:
        raise BadInputError(f"certificate {_named(settings.cert)}: its end cannot be read") from None


def _choose_ciphers(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.server_prefers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    names = [CIPHER_SUITES[suite] for suite in settings.cipher_suites if CIPHER_SUITES[suite]]
    if names:
        try:
            context.set_ciphers(":".join(names))
        except ssl.SSLError:
            raise BadInputError("OpenSSL has none of the cipher_suites; choose others") from None
        found = {cipher["name"] for cipher in context.get_ciphers()}
        for suite in settings.cipher_suites:
            if CIPHER_SUITES[suite] and CIPHER_SUITES[suite] not in found:
                raise BadInputError(f"this OpenSSL lacks the cipher suite {suite}; remove it from cipher_suites")
    elif settings.cipher_suites:
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # nothing is left for TLS 1.2
    if len(settings.curves) == 1:
        context.set_ecdh_curve(CURVES[settings.curves[0]])
    elif settings.curves:
        set_groups = getattr(context, "set_groups", None)  # since Python 3.15
        if set_groups is None:
            raise BadInputError(
                "this Python can set one curve only; give one in curve_preferences, or none for OpenSSL's own choice"
            )
        set_groups(":".join(CURVES[curve] for curve in settings.curves))


def _load_own(context: ssl.SSLContext, settings: TlsSettings, material: Material) -> None:
    def password() -> bytes:
        raise BadInputError(f"the key {_named(settings.key)} is encrypted; take the password off it")

    try:
        with _as_path(material.cert) as cert, _as_path(material.key) as key:
            context.load_cert_chain(cert, key, password)
    except ssl.SSLError as error:
        reason = _REASONS.get(error.reason or "PEM lib") or str(error.reason).lower().replace("_", " ")
        raise BadInputError(f"certificate {_named(settings.cert)} with key {_named(settings.key)}: {reason}") from None


def _load(context: ssl.SSLContext, pem: bytes, what: str, kind: str) -> None:
    if f"-----BEGIN {kind}-----".encode() not in pem:
        raise BadInputError(f"{what} holds no {kind} in PEM")
    try:
        with _as_path(pem) as path:
            context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise BadInputError(f"{what} cannot be used: {error.reason or 'it is not PEM'}") from None


def _named(source: Path | str | None) -> str:
    return str(source) if isinstance(source, Path) else "given inline"


@contextlib.contextmanager
def _as_path(data: bytes) -> Iterator[str]:
    """Give OpenSSL, which wants a path, what has been read: it may be inline, or replaced in its file meanwhile."""
    descriptor = os.memfd_create("pem")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def alternative_names(certificate: Mapping[str, Any] | None) -> set[str]:
    """Return the DNS names, addresses, e-mail addresses and URIs in what getpeercert() returned."""
    return {_normal(value) for _, value in (certificate or {}).get("subjectAltName", ())}


def _normal(name: str) -> str:
    """IP addresses have several spellings; OpenSSL's differs from the one that people write."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
