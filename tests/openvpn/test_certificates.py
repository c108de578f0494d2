"""Expiry times of certificates and revocation lists, as openssl makes them."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.openvpn.certificates import certificate_expiries, crl_expiries
from tests.support.needs import need


class Authority:
    """A certificate authority in a folder, run by openssl."""

    def __init__(self, folder: Path) -> None:
        need("openssl")
        self.folder = folder
        (folder / "index").touch()
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
            "certificate=ca.crt\nprivate_key=ca.key\ncrlnumber=number\n[p]\ncommonName=supplied\n"
        )
        (folder / "number").write_text("01\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self.run("req", "-x509", *key, "-subj", "/CN=ca", "-days", "9", "-keyout", "ca.key", "-out", "ca.crt")
        self.run("x509", "-in", "ca.crt", "-outform", "der", "-out", "ca.der")
        self.der = (folder / "ca.der").read_bytes()
        self.run("req", "-new", *key, "-subj", "/CN=alice", "-keyout", "a.key", "-out", "a.csr")

    def run(self, *arguments: str) -> str:
        command = ["openssl", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def certificate(self, start: str, end: str) -> bytes:
        self.run(
            *("ca", "-config", "ca.cnf", "-batch", "-notext", "-in", "a.csr", "-out", "a.crt"),
            *("-startdate", start, "-enddate", end),
        )
        return (self.folder / "a.crt").read_bytes()

    def crl(self, *flags: str) -> bytes:
        self.run("ca", "-config", "ca.cnf", "-gencrl", *flags, "-out", "ca.crl")
        return (self.folder / "ca.crl").read_bytes()

    def says(self, command: str, name: str, field: str) -> float:
        """What openssl reads out of a file."""
        text = self.run(command, "-in", name, "-noout", f"-{field}").partition("=")[2].strip()
        return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("end", ["20491231235959Z", "20500101000000Z", "99991231235959Z", "20200102030405Z"])
def test_a_certificate(authority: Authority, end: str) -> None:
    """In PEM and in DER; from 2050 on the time has another form."""
    pem = authority.certificate("20200101000000Z", end)
    expected = datetime.strptime(end, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert certificate_expiries(pem) == [expected]
    authority.run("x509", "-in", "a.crt", "-outform", "der", "-out", "a.der")
    assert certificate_expiries((authority.folder / "a.der").read_bytes()) == [expected]


def test_certificates_in_their_order_with_text_around_and_a_key(authority: Authority) -> None:
    """As in a `cert` file with its chain, or an inline block with other line ends."""
    own = authority.certificate("20200101000000Z", "20300101000000Z")
    ca = (authority.folder / "ca.crt").read_bytes()
    key = (authority.folder / "a.key").read_bytes()
    data = b"Certificate:\n Validity ...\n" + own.replace(b"\n", b"\r\n") + key + b"# the authority\n" + ca
    own_end = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert certificate_expiries(data) == [own_end, authority.says("x509", "ca.crt", "enddate")]
    authority.run("x509", "-in", "a.crt", "-trustout", "-out", "trusted.crt")
    assert certificate_expiries((authority.folder / "trusted.crt").read_bytes()) == [own_end]


def test_a_revocation_list(authority: Authority) -> None:
    """Of version 2, which openssl makes if there is a number, and of version 1; in PEM and in DER."""
    pem = authority.crl("-crldays", "3")
    expected = authority.says("crl", "ca.crl", "nextupdate")
    assert crl_expiries(pem) == [expected]
    authority.run("crl", "-in", "ca.crl", "-outform", "der", "-out", "crl.der")
    assert crl_expiries((authority.folder / "crl.der").read_bytes()) == [expected]
    config = authority.folder / "ca.cnf"
    config.write_text(config.read_text().replace("crlnumber=number\n", ""))
    pem = authority.crl("-crlhours", "5")
    assert b"Version 1" in authority.run("crl", "-in", "ca.crl", "-noout", "-text").encode()
    assert crl_expiries(pem) == [authority.says("crl", "ca.crl", "nextupdate")]


def test_a_revocation_list_without_an_end() -> None:
    """The field is optional; openssl always writes it."""
    name, algorithm, update = b"\x30\x00", b"\x30\x00", b"\x17\x0d260101000000Z"
    fields = algorithm + name + update
    signed = b"\x30" + bytes([len(fields)]) + fields
    assert crl_expiries(b"\x30" + bytes([len(signed)]) + signed) == [float("inf")]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no certificate in it"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "cut short"),
        (b"\x30\x82\xff\xff\x30", "cut short"),
        (b"\x30\x04\x30\x02\x05\x00", "not an X.509 certificate"),
    ],
)
def test_what_is_no_certificate(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        certificate_expiries(data)


@settings(deadline=None)
@given(st.data())
def test_no_damage_does_more_than_raise(authority: Authority, data: st.DataObject) -> None:
    """Whatever happens to the bytes, there is an answer or a ValueError."""
    whole = bytearray(authority.der)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 120))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    for read in (certificate_expiries, crl_expiries):
        try:
            assert all(isinstance(time, float) for time in read(damaged))
        except ValueError as error:
            assert str(error)  # noqa: PT017  # an answer is right as well
