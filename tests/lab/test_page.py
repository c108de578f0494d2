"""The whole page of the running program, over real queues."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.collectors import trace_families
from exporter.exposition.families import Metric
from tests.support.kernel import make, make_many, set_limit
from tests.support.metricsdoc import documented
from tests.support.needs import missing, need
from tests.support.program import Program, running
from tests.support.prometheus import prometheus

GOLDEN = Path(__file__).parent / "golden.prom"

pytestmark = pytest.mark.usefixtures("queues")

CONFIG = """
queues:
  names:
    - {name: status, key: 0x4f560001}
    - {name: 'odd "name" \\ %s', key: 0x2a}
"""


@pytest.fixture
def program(queues: None, tmp_path: Path) -> Iterator[Program]:  # noqa: ARG001  # the namespace comes first
    """An exporter over four queues: named, oddly named, private, and with a negative key."""
    config = tmp_path / "config.yml"
    config.write_text(CONFIG)
    status = make(0x4F560001, b"x" * 100, b"y" * 28, mode=0o640)
    status.receive()
    set_limit(status.id, 4096)
    make(42, b"", b"", b"")
    make(None)
    make(-1, b"z")
    # The collector scripts sees every OpenVPN of the host, those of other tests too.
    with running(f"--config.file={config}", "--no-collector.scripts") as program:
        yield program
        assert program.stop() == 0


def normalized(page: str) -> str:
    """The page without what differs from run to run: times, pids, msqids, users, versions, the process itself."""
    kept: list[str] = []
    for line in page.splitlines():
        if re.match(r"(# (HELP|TYPE) )?(process_|python_info)", line):
            continue
        for pattern, replacement in (
            (r'msqid="\d+"', 'msqid="MSQID"'),
            (r"private:\d+", "private:MSQID"),
            (r"(_timestamp_seconds(?:{.*})?) 1\.?\d{8}.*$", r"\1 TIME"),
            (r"(_pid{.*}) [1-9]\d*$", r"\1 PID"),
            (r"(_duration_seconds{.*}) .*$", r"\1 SECONDS"),
            (r'(version|revision|owner|group|creator)="[^"]*"', r'\1="ITS \1"'),
        ):
            line = re.sub(pattern, replacement, line)  # noqa: PLW2901  # one replacement after the other
        kept.append(line)
    return "\n".join(kept) + "\n"


def by_family(page: str) -> list[list[str]]:
    """Sorted within each family: the order of the queues is the kernel's, and depends on those there were before."""
    return [sorted(family.splitlines()) for family in page.split("# HELP ")]


def test_golden_page(program: Program) -> None:
    """Every line, but for what differs from run to run. UPDATE_GOLDEN=1 rewrites the file."""
    page = normalized(program.page())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(page)
    assert by_family(page) == by_family(GOLDEN.read_text())


def test_both_formats_say_the_same(program: Program) -> None:
    """prometheus_client's strict parsers read both pages, and find the same series."""
    text = {s.name + str(sorted(s.labels.items())) for f in parse_text(program.page()) for s in f.samples}
    page = program.page(Accept="application/openmetrics-text;version=1.0.0")
    openmetrics = {s.name + str(sorted(s.labels.items())) for f in parse_openmetrics(page) for s in f.samples}
    assert text == openmetrics
    assert any('odd "name" \\\\ %s' in series for series in text)


def test_promtool_finds_nothing(program: Program) -> None:
    """`promtool check metrics` is clean over our own metrics."""
    need("promtool")
    page = program.page()
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_documented_metric_is_on_the_page(program: Program) -> None:
    """And nothing else is; for the collectors that are on without a configuration, which names the servers."""
    page = program.page()
    exported = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    unasked = re.compile(r".*_recommended_queues|openvpn_(?!mq_).*|.*_certificate_expiry_.*")  # profile, servers, TLS
    off = {value.name for value in vars(trace_families).values() if isinstance(value, Metric)}
    expected = {name for name in documented() if not unasked.fullmatch(name)} - off
    assert exported == expected


def test_prometheus_scrapes_it(program: Program, tmp_path: Path) -> None:
    """A real Prometheus has every sample of the page, with the labels and, where it rests, the value of the page."""
    need("prometheus")
    with prometheus(tmp_path, program.addresses()) as server:
        server.wait_for('sysv_msg_queue_bytes{queue="status"} == 28')
        (target,) = server.targets()
        assert (target["health"], target["lastError"]) == ("up", "")
        for (name, labels), value in program.samples().items():
            wanted = dict(labels)
            found = [
                float(series["value"][1])
                for series in server.query(name)
                if {key: series["metric"].get(key) for key in wanted} == wanted
            ]
            assert len(found) == 1, (name, wanted)
            if name.startswith("sysv_"):
                assert found == [value], (name, wanted)
        assert server.query("scrape_samples_scraped")[0]["value"][1] == str(len(program.samples()))


def test_it_only_observes(tmp_path: Path) -> None:
    """Of all calls for queues, from start to stop, with sampling and scrapes: MSG_INFO and MSG_STAT_ANY alone."""
    need("strace")
    make(1, b"x")
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=msgsnd,msgrcv,msgget,msgctl", "-o", str(trace)]
    with running("--collector.queues.sample-interval=50ms", before=strace) as program:
        for _ in range(3):
            assert program.value("sysv_msg_queue_bytes", queue="0x00000001") == 1
        assert program.value("process_start_time_seconds")  # the tracer's child serves, and strace passes signals on
        pid = int(Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()[0])
        os.kill(pid, 15)
        assert program.process.wait(30) == 0
    calls = [line for line in trace.read_text().splitlines() if re.search(r"\bmsg(snd|rcv|get|ctl)\(", line)]
    assert len([call for call in calls if "MSG_INFO" in call]) >= 4
    kinds = {re.sub(r".*\b(msg\w+)\([^,]*(?:, (\w+))?.*", r"\1 \2", call) for call in calls}
    assert kinds == {"msgctl MSG_INFO", "msgctl MSG_STAT_ANY"}


def test_without_rights() -> None:
    """As nobody it exports the limit of a queue of mode 0600 that root owns."""
    if os.geteuid() != 0:
        missing("only root can become nobody; run as root: make test")
    make(1, b"secret", mode=0o600)
    # The interpreter may stand in a home folder that nobody else can enter: started first, it drops its rights then.
    # The first look makes it import all that it needs.
    program_text = (
        "import os, sys; from exporter.cli import main;"
        "flags = ['--once', '--no-openvpn.discovery'];"  # other tests run OpenVPNs
        "out = os.dup(1); os.dup2(os.open(os.devnull, os.O_WRONLY), 1); main(flags); os.dup2(out, 1);"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(flags))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program_text], capture_output=True, text=True, check=True, timeout=60
    )
    assert printed.stderr == ""
    assert 'sysv_msg_queue_bytes{queue="0x00000001"} 6\n' in printed.stdout
    assert re.search(r'^sysv_msg_queue_limit_bytes{queue="0x00000001"} [1-9]', printed.stdout, re.MULTILINE)


def test_once() -> None:
    """One look on standard output: no peaks, which take time, and nothing that node_exporter has itself."""
    need("promtool")
    make(1, b"x")
    command = [sys.executable, "-m", "exporter", "--once", "--no-openvpn.discovery"]  # other tests run OpenVPNs
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stderr == ""
    names = {family.name for family in parse_text(printed.stdout)}
    assert "sysv_msg_queue_bytes" in names
    assert not [name for name in names if "peak" in name or name.startswith(("process", "python", "promhttp"))]
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=printed.stdout, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_once_into_a_pipe_that_closes() -> None:
    """`--once | head -1` ends in silence."""
    make_many(3000)
    command = f"{sys.executable} -m exporter --once --no-openvpn.discovery --collector.queues.max-series=0 | head -1"
    printed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.startswith("# HELP")
    assert printed.stderr == ""


def test_max_series_keeps_the_fullest() -> None:
    """Twelve queues, five series: the fullest by their own limits; the totals count all, and the log says so once."""
    for size in range(1, 12):
        make(size, b"x" * size * 10)
    small = make(100, b"x")
    set_limit(small.id, 2)  # half full, fuller than all the others
    with running("--collector.queues.max-series=5") as program:
        for _ in range(3):
            found = program.samples()
        kept = {dict(labels)["queue"] for name, labels in found if name == "sysv_msg_queue_bytes"}
        assert kept == {"0x00000064", "0x0000000b", "0x0000000a", "0x00000009", "0x00000008"}
        assert found["sysv_msg_queues_omitted", frozenset({("reason", "limit")})] == 7
        assert found["sysv_msg_queues_omitted", frozenset({("reason", "filter")})] == 0
        assert found["sysv_msg_queues", frozenset()] == 12
        assert found["sysv_msg_bytes", frozenset()] == sum(range(1, 12)) * 10 + 1
        assert found["sysv_msg_messages", frozenset()] == 12
        assert program.stop() == 0  # all that it said has been read then
        assert len([line for line in program.log if "max-series=5" in line]) == 1


def test_a_named_queue_keeps_its_series(tmp_path: Path) -> None:
    """However empty it is: a series with a name must not come and go with other queues' fill."""
    config = tmp_path / "config.yml"
    config.write_text("queues: {names: [{name: mine, key: 99}]}")
    make(99)
    for key in range(1, 10):
        make(key, b"full")
    with running("--collector.queues.max-series=2", f"--config.file={config}") as program:
        assert program.value("sysv_msg_queue_messages", queue="mine") == 0


def test_filters() -> None:
    """Left out by their label: no series, counted, and still in the totals."""
    for key in range(1, 10):
        make(key, b"x")
    with running("--collector.queues.include=0x0000000[1-5]", "--collector.queues.exclude=.*3") as program:
        found = program.samples()
    kept = {dict(labels)["queue"] for name, labels in found if name == "sysv_msg_queue_bytes"}
    assert kept == {f"0x0000000{digit}" for digit in (1, 2, 4, 5)}
    assert found["sysv_msg_queues_omitted", frozenset({("reason", "filter")})] == 5
    assert found["sysv_msg_queues", frozenset()] == found["sysv_msg_messages", frozenset()] == 9


def test_a_burst_between_scrapes_shows_as_peak() -> None:
    """Ten messages came and went; only the peak tells."""
    queue = make(1)
    with running("--collector.queues.sample-interval=10ms") as program:
        program.page()
        for _ in range(10):
            queue.send(b"x" * 50)
        time.sleep(1)
        for _ in range(10):
            queue.receive()
        found = program.samples()
    label = frozenset({("queue", "0x00000001")})
    assert (found["sysv_msg_queue_bytes", label], found["sysv_msg_queue_messages", label]) == (0, 0)
    assert (found["sysv_msg_queue_peak_bytes", label], found["sysv_msg_queue_peak_messages", label]) == (500, 10)


def test_a_failing_collector_and_its_recovery(tmp_path: Path) -> None:
    """Without its source `limits` is absent, and says so once; the others are served; it comes back by itself."""
    make(1, b"x")
    kernel = tmp_path / "sys/kernel"
    with running(f"--path.procfs={tmp_path}") as program:
        for _ in range(3):
            found = program.samples()
        assert found["openvpn_mq_scrape_collector_success", frozenset({("collector", "limits")})] == 0
        assert found["openvpn_mq_scrape_collector_success", frozenset({("collector", "queues")})] == 1
        assert not [name for name, _ in found if name.startswith("sysv_msgm")]
        assert ("sysv_msg_queue_bytes", frozenset({("queue", "0x00000001")})) in found
        kernel.mkdir(parents=True)
        for name in ("msgmnb", "msgmax", "msgmni"):
            (kernel / name).write_text("123\n")
        assert program.value("sysv_msgmnb_bytes") == 123
        assert program.stop() == 0  # all that it said has been read then
        lines = [line for line in program.log if "collector limits" in line]
        assert len(lines) == 2
        assert "msgmnb: No such file or directory" in lines[0]
        assert "works again" in lines[1]


def test_logs_as_json() -> None:
    """One object a line, with time, level and msg."""
    with running("--log.format=json") as program:
        deadline = time.monotonic() + 30
        while len(program.log) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        program.process.terminate()
        assert program.process.wait(30) == 0
        program.stop()
        lines = [json.loads(line) for line in program.log]
    assert [line["msg"] for line in lines] == ["starting", "listening", "stopping"]
    assert all(line["level"] == "info" and line["time"].endswith("Z") for line in lines)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("small", {"msgmnb": 16384, "msgmax": 8192}),
        ("large", {"msgmnb": 65536, "msgmax": 16384, "msgmni": 32000}),
        ("none", {}),
    ],
)
def test_profiles(profile: str, expected: dict[str, float]) -> None:
    """Recommended values as the profile has them; absent where it makes no demand."""
    with running(f"--collector.limits.profile={profile}") as program:
        found = program.samples()
    recommended = {name[5:11]: value for (name, _), value in found.items() if "recommended" in name}
    assert recommended == expected
