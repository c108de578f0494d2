"""When certificates and revocation lists end: a reader of the few fields of X.509 that this takes.

Bytes in, expiry times out, as OpenVPN's options `ca`, `cert`, `crl-verify` and their inline blocks hold them: PEM, with
any text around its blocks, or a single DER structure. Nothing is verified; OpenVPN does that. Times are seconds since
1970, in UTC. Anything that is not such a structure raises ValueError with a sentence.
"""

import base64
import re
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

_PEM: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?(?P<kind>CERTIFICATE|X509 CRL|CRL)-----\s(?P<text>[^-]*)-----END "
)
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_VERSION: Final = 0xA0  # [0], explicit
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


class _Element(NamedTuple):
    """One DER element: its tag, and where its content starts and ends."""

    tag: int
    start: int
    end: int


def certificate_expiries(data: bytes) -> list[float]:
    """Return notAfter of each certificate, in the file's order: in a `cert` file the first is the server's own."""
    return [_not_after(der) for der in _structures(data, "certificate")]


def crl_expiries(data: bytes) -> list[float]:
    """Return nextUpdate of each revocation list, in the file's order; a list without that field never ends: +Inf."""
    return [_next_update(der) for der in _structures(data, "revocation list")]


def _structures(data: bytes, what: Literal["certificate", "revocation list"]) -> list[bytes]:
    if data[:1] == bytes([_SEQUENCE]):
        return [data]
    wanted_kinds = (b"CERTIFICATE",) if what == "certificate" else (b"X509 CRL", b"CRL")
    blocks = [match["text"] for match in _PEM.finditer(data) if match["kind"] in wanted_kinds]
    if not blocks:
        raise ValueError(f"no {what} in it, neither PEM nor DER")
    return [base64.b64decode(block) for block in blocks]


def _not_after(der: bytes) -> float:
    fields = _fields_of_signed_part(der)
    if fields and fields[0].tag == _VERSION:
        fields = fields[1:]
    if len(fields) < 4 or fields[0].tag != _INTEGER or fields[3].tag != _SEQUENCE:
        raise ValueError("not an X.509 certificate")
    validity = _elements(der, fields[3].start, fields[3].end)
    if len(validity) < 2:
        raise ValueError("a certificate without notAfter")
    return _time(der, validity[1])


def _next_update(der: bytes) -> float:
    fields = _fields_of_signed_part(der)
    if fields and fields[0].tag == _INTEGER:  # the version, which a list of version 1 does not have
        fields = fields[1:]
    times = [field for field in fields[2:4] if field.tag in (_UTC_TIME, _GENERALIZED_TIME)]
    if not times:
        raise ValueError("not an X.509 revocation list")
    return _time(der, times[1]) if len(times) == 2 else float("inf")


def _fields_of_signed_part(der: bytes) -> list[_Element]:
    """Return the fields of TBSCertificate or TBSCertList, the first element of the outermost sequence."""
    outer = _element(der, 0, len(der))
    signed = _element(der, outer.start, outer.end)
    if (outer.tag, signed.tag) != (_SEQUENCE, _SEQUENCE):
        raise ValueError("not an X.509 structure")
    return _elements(der, signed.start, signed.end)


def _elements(der: bytes, start: int, end: int) -> list[_Element]:
    elements = []
    while start < end:
        elements.append(_element(der, start, end))
        start = elements[-1].end
    return elements


def _element(der: bytes, start: int, end: int) -> _Element:
    """Return the element at `start`, which must end by `end`. Every tag that X.509 uses here is one byte."""
    header = der[start : min(start + 2, end)]
    if len(header) < 2:
        raise ValueError("cut short")
    length, content = header[1], start + 2
    if length & 0x80:
        size = length & 0x7F
        length, content = int.from_bytes(der[content : content + size], "big"), content + size
    if content + length > end:
        raise ValueError("cut short")
    return _Element(header[0], content, content + length)


def _time(der: bytes, element: _Element) -> float:
    text = der[element.start : element.end].decode("ascii", "replace")
    if element.tag == _UTC_TIME and text:  # two digits of the year, from 1950 to 2049
        text = ("19" if text[0] >= "5" else "20") + text
    if not re.fullmatch(r"[0-9]{14}Z", text):
        raise ValueError(f"not a time of X.509: {text!r}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
