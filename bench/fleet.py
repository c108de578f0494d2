"""What a fleet of VPN hosts costs its Prometheus: series, memory, disk, time per rule group and per panel.

    .venv/bin/python -m bench.fleet --hosts 200 --minutes 60
    .venv/bin/python -m bench.fleet --hosts 200 --minutes 20 --compare ../before/dashboards

Runs a real Prometheus with the shipped rules over simulated hosts (bench/fleet_hosts.py), each with 50 queues and two
OpenVPN servers and every collector on. Needs `prometheus`, no rights. `--compare` names another version's folder
`dashboards`: its rules and panels are measured on the same data, at the end of the same run. Figures are of one run on
one machine.
"""

import argparse
import contextlib
import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bench.fleet_hosts import hostname, serve
from tests.support.boards import substituted
from tests.support.prometheus import free_port

SHIPPED = Path(__file__).parents[1] / "dashboards"
EVERYTHING = {"cluster": ".*", **dict.fromkeys(("job", "instance", "queue", "server"), ".+")}
GRAFANA_POINTS = 1000
ROUNDS, PATIENCE = 3, 10.0  # the fastest of so many runs, unless they take so many seconds

T = TypeVar("T")


class Prometheus:
    """The Prometheus under test."""

    def __init__(self, program: str, folder: Path, hosts: range, options: argparse.Namespace) -> None:
        """Start it in a folder, with the shipped rules and a target per host."""
        self._config = folder / "prometheus.yml"
        self._hosts, self._options = hosts, options
        self.interval = options.interval
        self.configure(SHIPPED)
        self.storage = folder / "tsdb"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [program, f"--config.file={self._config}", f"--storage.tsdb.path={self.storage}",
                   f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle", "--query.timeout=10m",
                   "--query.max-samples=500000000"]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=(folder / "prometheus.log").open("w"))

    def configure(self, dashboards: Path | None) -> None:
        """Write the configuration, with the rules of a version or without any."""
        seconds = f"{self._options.interval}s"
        targets = [
            {
                "targets": [f"127.0.0.1:{self._options.port}"],
                "labels": {"instance": hostname(host), "__metrics_path__": f"/{host}"},
            }
            for host in self._hosts
        ]
        document: dict[str, Any] = {
            "global": {"scrape_interval": seconds, "evaluation_interval": seconds},
            "rule_files": sorted(str(path) for path in dashboards.glob("rules/*.yml")) if dashboards else [],
            "scrape_configs": [{"job_name": "openvpn-mq", "static_configs": targets}],
        }
        if self._options.remote_write:
            document["remote_write"] = [{"url": self._options.remote_write}]
        self._config.write_text(json.dumps(document))  # which is YAML

    def reload(self, dashboards: Path | None) -> None:
        """Have it evaluate the rules of another version."""
        self.configure(dashboards)
        urllib.request.urlopen(f"{self.url}/-/reload", data=b"", timeout=120).close()

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=900) as r:
            return json.load(r)["data"]

    def own(self) -> dict[str, float]:
        """Return its own metrics, those with the same name summed."""
        values: dict[str, float] = defaultdict(float)
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=120) as answer:
            for line in answer.read().decode().splitlines():
                if not line.startswith("#"):
                    series, _, value = line.rpartition(" ")
                    values[series.partition("{")[0]] += float(value)
        return values

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        for _ in range(600):
            with contextlib.suppress(OSError):
                self.own()
                return
            time.sleep(0.1)
        raise TimeoutError(f"Prometheus does not answer at {self.url}")

    def cpu_share(self, work: Callable[[], T]) -> tuple[float, T]:
        """Return how many cores it takes while `work` runs, and what that returns."""
        before, begin = self.own()["process_cpu_seconds_total"], time.monotonic()
        result = work()
        return (self.own()["process_cpu_seconds_total"] - before) / (time.monotonic() - begin), result

    def rule_times(self, seconds: float) -> dict[str, list[float]]:
        """Watch it for a while; return the time of each evaluation, by rule group, and by `group: rule`."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for group in self.get("rules")["groups"]:
                found[group["name"]][group["lastEvaluation"]] = group["evaluationTime"]
                for number, rule in enumerate(group["rules"]):
                    name = f"{group['name']}: {number} {rule['name']}"
                    found[name][rule["lastEvaluation"]] = rule["evaluationTime"]
            time.sleep(self.interval / 3)
        return {
            name: [value for when, value in times.items() if not when.startswith("0001")]
            for name, times in found.items()
        }

    def panel_times(
        self, board: dict[str, Any], minutes: float, variables: dict[str, str]
    ) -> Iterator[tuple[str, float, int]]:
        """Run every query of every panel, as Grafana does; yield title, seconds and number of series."""
        now, interval = time.time(), self.interval
        for panel in board["panels"]:
            least = 60 if panel.get("interval") == "1m" else interval
            step = max(least, round(minutes * 60 / GRAFANA_POINTS))
            values = {**variables, "__interval": f"{step}s"}
            took, series = 0.0, 0
            for target in panel.get("targets", ()):
                query = substituted(
                    target["expr"], values, window=f"{max(step + least, 4 * least)}s", whole=f"{round(minutes * 60)}s"
                )
                times = {"time": f"{now}"}
                if target.get("range"):
                    times = {"start": f"{now - minutes * 60}", "end": f"{now}", "step": f"{step}"}
                times_taken: list[float] = []
                while len(times_taken) < ROUNDS and sum(times_taken) < PATIENCE:
                    begin = time.perf_counter()
                    answer = self.get("query_range" if target.get("range") else "query", query=query, **times)
                    times_taken.append(time.perf_counter() - begin)
                took += min(times_taken)
                series += len(answer["result"])
            if panel.get("targets"):
                yield panel["title"], took, series


def show_cost(server: Prometheus, hosts: int, seconds: float) -> None:
    """Print what the hosts cost."""
    own = server.own()
    scraped = sum(float(each["value"][1]) for each in server.get("query", query="scrape_samples_scraped")["result"])
    up = sum(float(each["value"][1]) for each in server.get("query", query="up")["result"])
    disk = sum(path.stat().st_blocks * 512 for path in server.storage.rglob("*") if path.is_file())
    appended, series = own["prometheus_tsdb_head_samples_appended_total"], own["prometheus_tsdb_head_series"]
    resident, heap = own["process_resident_memory_bytes"], own["go_memstats_heap_inuse_bytes"]
    print(f"hosts                  {hosts}, {up:.0f} of them up, after {seconds / 60:.0f} minutes")
    print(f"series per host        {scraped / max(up, 1):.0f} scraped, {series / hosts:.0f} with the recorded ones")
    print(f"series in the head     {series:.0f}")
    print(f"samples per second     {appended / seconds:.0f}")
    print(f"memory                 {resident / 1e9:.2f} GB resident ({resident / hosts / 1e6:.1f} MB per host), "
          f"{heap / 1e9:.2f} GB heap ({heap / series:.0f} bytes per series)")  # fmt: skip
    print(f"disk                   {disk / 1e6:.0f} MB, {disk / appended:.2f} bytes per sample (WAL and head)")
    print(f"CPU                    {own['process_cpu_seconds_total'] / seconds:.2f} cores on average")
    print(f"evaluations missed     {own['prometheus_rule_group_iterations_missed_total']:.0f}", flush=True)


def show_rules(server: Prometheus, version: str, dashboards: Path, seconds: float) -> None:
    """Print the time per rule group and the most expensive rules, and the CPU time that all of them take."""
    server.reload(None)
    time.sleep(server.interval)
    without, _ = server.cpu_share(lambda: time.sleep(seconds / 2))
    server.reload(dashboards)
    time.sleep(server.interval)
    full, times = server.cpu_share(lambda: server.rule_times(seconds))
    intervals = {group["name"]: group["interval"] for group in server.get("rules")["groups"]}
    print(f"\nrules of {version}: milliseconds per evaluation, over {seconds / 60:.0f} minutes")
    print(f"{'group':44}{'every':>7}{'times':>7}{'median':>9}{'highest':>9}")
    for name, interval in intervals.items():
        print(f"{name:44}{interval:6.0f}s{len(times[name]):7}{statistics.median(times[name]) * 1000:9.1f}"
              f"{max(times[name]) * 1000:9.1f}")  # fmt: skip
    once = sum(statistics.median(times[name]) for name in intervals)
    steady = sum(statistics.median(times[name]) * server.interval / interval for name, interval in intervals.items())
    print(f"{'all groups, once each':44}{'':14}{once * 1000:9.1f}")
    print(f"{f'all that is due within {server.interval} s, by the clock':44}{'':14}{steady * 1000:9.1f}")
    print(f"{f'CPU time of rules within {server.interval} s':44}{'':14}{(full - without) * server.interval * 1000:9.1f}"
          f"   (with scrapes {full:.2f} cores, without rules {without:.2f})")  # fmt: skip
    each = {name: statistics.median(found) for name, found in times.items() if name not in intervals and found}
    for name in sorted(each, key=lambda name: -each[name])[:10]:
        print(f"    {name:70}{each[name] * 1000:9.1f}", flush=True)


def show_panels(server: Prometheus, version: str, dashboards: Path, minutes: float) -> None:
    """Print the time per panel: of Fleet for all hosts, of the other dashboards for one host."""
    one_host = {**EVERYTHING, "instance": hostname(1).replace(".", "\\\\.")}
    for path in sorted(dashboards.glob("grafana/*.json")):
        every = path.stem == "fleet"
        what = "all hosts" if every else "one host"
        print(f"\n{path.name} of {version}, {what}, {minutes:.0f} minutes: seconds per panel")
        total = 0.0
        variables = EVERYTHING if every else one_host
        for title, took, series in server.panel_times(json.loads(path.read_text()), minutes, variables):
            total += took
            if every:
                print(f"{title:60}{took:8.2f}{series:8} series", flush=True)
        print(f"{'all panels':60}{total:8.2f}", flush=True)


def main() -> None:
    """Run the fleet and print the figures."""
    options = parse()
    hosts = range(options.hosts)
    options.port = free_port()
    simulator = multiprocessing.Process(target=serve, args=(options.port, options.queues, options.servers), daemon=True)
    simulator.start()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        server = Prometheus(options.prometheus, Path(folder), hosts, options)
        try:
            server.wait_until_ready()
            start = time.time()
            time.sleep(options.minutes * 60)
            show_cost(server, options.hosts, time.time() - start)
            show_rules(server, "this version", SHIPPED, options.watch * 60)
            show_panels(server, "this version", SHIPPED, options.minutes)
            if options.compare:
                show_rules(server, str(options.compare), options.compare, options.watch * 60)
                server.reload(None)
                show_panels(server, str(options.compare), options.compare, options.minutes)
        finally:
            server.process.terminate()
            server.process.wait()
            simulator.terminate()


def parse() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=15, help="how long to scrape before measuring")
    parser.add_argument("--watch", type=float, default=3, help="for how many minutes to watch the rules")
    parser.add_argument("--interval", type=int, default=15, help="seconds between scrapes, and between evaluations")
    parser.add_argument("--queues", type=int, default=50, help="per host")
    parser.add_argument("--servers", type=int, default=2, help="OpenVPN servers per host")
    parser.add_argument("--prometheus", default="prometheus", metavar="PROGRAM")
    parser.add_argument("--folder", type=Path, help="where to keep the data while it runs")
    parser.add_argument("--remote-write", metavar="URL", help="also send everything there")
    parser.add_argument("--compare", type=Path, metavar="FOLDER", help="the folder `dashboards` of another version")
    return parser.parse_args()


if __name__ == "__main__":
    main()
