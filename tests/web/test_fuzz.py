"""Coverage-guided fuzzing of everything that reads what a client sends: nothing but the refusals it should raise."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import missing

HARNESS = """
import sys, atheris
with atheris.instrument_imports(include=["h11", "exporter.web.http1", "exporter.web.request",
                                         "exporter.web.negotiation", "exporter.web.auth", "exporter.web.query"]):
    from exporter.web import auth, http1, negotiation, query, request, response

def one(data):
    http = http1.Http1()
    http.receive(data or b"G")
    try:
        for _ in range(20):
            found = http.next_request()
            if found is None:
                break
            query.read_query(found, ["alpha", "beta"])
            negotiation.content_type(found.headers.get("accept", ""))
            negotiation.wants_gzip(found.headers.get("accept-encoding", ""))
            auth.credentials(found.headers.get("authorization", ""))
            if not http.answer(response.plain(200, "yes"), close=False)[1]:
                break
    except request.BadRequestError as refused:
        assert refused.status in (400, 431, 501, 505)
        http.answer(response.plain(refused.status, "no"), close=True)
    text = data.decode("latin-1")
    negotiation.content_type(text)
    negotiation.wants_gzip(text)
    auth.credentials(text)
    assert http.pending <= max(1, len(data))

atheris.Setup(sys.argv, one)
atheris.Fuzz()
"""
SEED = (
    b"GET /metrics?collect[]=alpha&name[]=a HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0;"
    b"escaping=allow-utf-8;q=0.6,*/*;q=0.2\r\nAccept-Encoding: gzip;q=0.5, identity\r\n"
    b"Authorization: Basic YTpi\r\n\r\n"
)


@pytest.mark.slow
def test_no_input_breaks_what_reads_it(tmp_path: Path) -> None:
    """Half a minute from a good request on; a hang of a second would count as a find."""
    if importlib.util.find_spec("atheris") is None:
        missing("atheris has no wheel for this Python or machine; use CPython on x86-64")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "good").write_bytes(SEED)
    run = subprocess.run(
        [sys.executable, "-c", HARNESS, str(corpus), "-max_total_time=30", "-timeout=1", "-max_len=4096",
         f"-artifact_prefix={tmp_path}/"],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Done " in run.stderr
