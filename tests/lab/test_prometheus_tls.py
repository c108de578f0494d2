"""Prometheus itself scrapes over TLS, with client certificates, and with a password; and not without."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.releases import RELEASES
from tests.web.conftest import hashed


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_prometheus_scrapes(release: Any, tmp_path: Path) -> None:
    """Each way that works is up; each that must not work is down, for the reason that is expected."""
    release.need()
    authority = Authority(tmp_path)
    authority.issue("server")
    ann, revoked = authority.issue("ann"), authority.issue("revoked")
    authority.revoke(revoked.serial)
    config = tmp_path / "web.yml"
    config.write_text(
        json.dumps(
            {
                "tls_server_config": {
                    "cert_file": "server.pem",
                    "key_file": "server.key",
                    "client_auth_type": "VerifyClientCertIfGiven",
                    "client_ca_file": "ca.pem",
                    "client_crl_file": "crl.pem",
                },
                "basic_auth_users": {"ann": hashed("secret")},
            }
        )
    )
    with running(f"--web.config.file={config}", "--collector.disable-defaults", "--collector.limits") as program:
        target = program.addresses()[0]
        trusting = {"ca_file": str(authority.cert)}
        password = {"username": "ann", "password": "secret"}

        def job(name: str, **settings: Any) -> dict[str, Any]:
            return {"job_name": name, "static_configs": [{"targets": [target]}], "scheme": "https", **settings}

        def with_certificate(issued: Any) -> dict[str, str]:
            return {**trusting, "cert_file": str(issued.cert), "key_file": str(issued.key)}

        jobs = [
            job("password", tls_config=trusting, basic_auth=password),
            job("mutual", tls_config=with_certificate(ann), basic_auth=password),
            job("revoked", tls_config=with_certificate(revoked), basic_auth=password),
            job("nameless", tls_config=trusting),
            job("wrong", tls_config=trusting, basic_auth={**password, "password": "guess"}),
            job("distrustful", basic_auth=password),
            job("plain", scheme="http", basic_auth=password),
        ]
        with prometheus(tmp_path, [], release=release, scrape_configs=jobs) as server:
            server.wait_for("count(up) == 7")
            for good in ("password", "mutual"):
                server.wait_for(f'up{{job="{good}"}} == 1')
                server.wait_for(f'sysv_msgmnb_bytes{{job="{good}"}}')
            errors = {each["labels"]["job"]: each["lastError"] for each in server.targets()}
        assert {name: bool(error) for name, error in errors.items()} == {
            each["job_name"]: each["job_name"] not in ("password", "mutual") for each in jobs
        }
        assert "401" in errors["nameless"]
        assert "401" in errors["wrong"]
        assert "certificate" in errors["distrustful"]
        assert "400" in errors["plain"]
        assert program.stop() == 0
        assert not [line for line in program.log if "level=error" in line]
