"""What the lines about a connection say: names, reasons, versions. Only words of OpenVPN's become label values."""

import re
from typing import Final

OTHER: Final = "other"
DISCONNECT_REASONS: Final = (
    "ping-restart",
    "ping-exit",
    "connection-reset",
    "delayed-exit",
    "remote-exit",
    "inactive",
    "session-timeout",
    "tls-error",
    "management",
    "replaced",
    "server-exit",
    OTHER,
)
_VERIFY_ERRORS: Final = {
    "certificate has expired": "expired",
    "certificate is not yet valid": "not_yet_valid",
    "certificate revoked": "revoked",
    "CRL has expired": "crl_expired",
    "CRL is not yet valid": "crl_not_yet_valid",
    "CRL signature failure": "crl_invalid",
    "unable to get certificate CRL": "crl_missing",
    "unable to get local issuer certificate": "unknown_ca",
    "unable to get issuer certificate": "unknown_ca",
    "unable to verify the first certificate": "unknown_ca",
    "self signed certificate": "unknown_ca",
    "self-signed certificate": "unknown_ca",
    "self signed certificate in certificate chain": "unknown_ca",
    "self-signed certificate in certificate chain": "unknown_ca",
    "unsupported certificate purpose": "purpose",
    "unsuitable certificate purpose": "purpose",
    "certificate signature failure": "signature",
    "CA md too weak": "weak",
    "EE certificate key too weak": "weak",
    "CA certificate key too weak": "weak",
}
_VERIFY_KINDS: Final = {
    "SCRIPT ERROR": "script",
    "PLUGIN ERROR": "script",
    "KU ERROR": "purpose",
    "EKU ERROR": "purpose",
    "nsCertType ERROR": "purpose",
    "X509NAME ERROR": "name",
}
VERIFY_ERRORS: Final = (*dict.fromkeys([*_VERIFY_ERRORS.values(), *_VERIFY_KINDS.values()]), OTHER)
PLATFORMS: Final = ("linux", "win", "mac", "android", "ios", "freebsd", "netbsd", "openbsd", "solaris")

_END: Final = re.compile(r"SIG[A-Z0-9]+\[soft,([^\]]*)\] received, client-instance")
_VERIFY: Final = re.compile(r"VERIFY (?:ERROR: depth=-?[0-9]+, error=([^:]*):|((?:[A-Za-z0-9]+) ERROR))")
_REPLACED: Final = re.compile(r"MULTI: new connection by client '(.*)' will cause previous active sessions by .*")
_VERSION: Final = re.compile(r"[0-9][0-9A-Za-z._+~-]{0,23}")


def disconnect_reason(message: str) -> str:
    """Return which of DISCONNECT_REASONS `SIGUSR1[soft,REASON] received, client-instance` gives."""
    match = _END.fullmatch(message)
    reason = match[1] or "management" if match else OTHER  # `kill` of the management interface gives no reason
    return reason if reason in DISCONNECT_REASONS else OTHER


def verify_error_reason(message: str) -> str:
    """Return which of VERIFY_ERRORS a line VERIFY ... ERROR reports."""
    match = _VERIFY.match(message)
    if not match:
        return OTHER
    return _VERIFY_KINDS.get(match[2], OTHER) if match[2] else _VERIFY_ERRORS.get(match[1], OTHER)


def learned_client(message: str) -> str:
    """Return NAME/ADDRESS of `MULTI: Learn: 10.8.0.2 -> NAME/ADDRESS`."""
    return message.partition(" -> ")[2]


def replaced_name(message: str) -> str | None:
    """Return NAME of `MULTI: new connection by client 'NAME' will cause ...`; None for any other message."""
    match = _REPLACED.fullmatch(message)
    return match[1] if match else None


def version_and_platform(version: str, platform: str) -> tuple[str, str]:
    """Return label values for what a client says it is; `other` for anything unusual."""
    return (
        version if _VERSION.fullmatch(version) else OTHER,
        platform if platform in PLATFORMS else OTHER,
    )
