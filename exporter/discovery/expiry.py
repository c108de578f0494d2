"""When the certificates and revocation lists of instances end, as far as they can be read."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from exporter.discovery.finder import read_bytes
from exporter.discovery.instance import Instance
from exporter.discovery.options import Certificate, CertificateKind
from exporter.openvpn.certificates import certificate_expiries, crl_expiries

_MAX_BYTES: Final = 32 << 20  # of a file; of a revocation list, that is half a million certificates


class Expiry(NamedTuple):
    """When one file or inline block ends, in Unix seconds."""

    server: str
    kind: CertificateKind
    time: float


def expiries(instances: Sequence[Instance], now: float) -> Iterator[Expiry]:
    """Yield one for each certificate that can be read and is one; what cannot be read is reported as a source."""
    for instance in instances:
        for certificate in instance.certificates:
            try:
                times = _times(instance, certificate)
            except (OSError, ValueError):
                continue
            if times:
                yield Expiry(instance.name, certificate.kind, end_of(certificate.kind, times, now))


def end_of(kind: CertificateKind, times: Sequence[float], now: float) -> float:
    """Return the end that matters of several in one file: the earliest.

    A file of CA certificates may hold an old one that has ended, beside the new one that clients use by now: it does
    not matter any more.
    """
    if kind == "ca":
        return min((time for time in times if time > now), default=max(times))
    return min(times)


def _times(instance: Instance, certificate: Certificate) -> list[float]:
    if certificate.path is None:
        data = (certificate.inline or "").encode(errors="surrogateescape")
    else:
        data = read_bytes(instance.root, certificate.path, _MAX_BYTES)
    return crl_expiries(data) if certificate.kind == "crl" else certificate_expiries(data)
