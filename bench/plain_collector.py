"""The exporter that one would write first: a custom collector of prometheus_client, a sample object for each series.

Only there to be compared with, by scrape.py. Reads the queues as the exporter does and serves the same number of
series of each (it has no sampler: its peaks are the present values), so that what differs is how they are rendered.
"""

import grp
import pwd
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.sysv.reader import QueueReader

GAUGES = ("cbytes", "qnum", "qbytes", "cbytes", "qnum", "stime", "rtime", "ctime", "lspid", "lrpid")


class PlainCollector(Collector):
    """One add_metric call a sample."""

    def __init__(self) -> None:
        self._reader = QueueReader(Path("/proc"))

    def collect(self) -> Iterator[Metric]:
        """Ten gauges and an info for each queue."""
        rows = list(self._reader.read().rows())
        for number, field in enumerate(GAUGES):
            family = GaugeMetricFamily(f"plain_{number}_{field}", field, labels=["queue"])
            for row in rows:
                family.add_metric([f"0x{row.key:08x}"], getattr(row, field))
            yield family
        info = GaugeMetricFamily(
            "plain_info", "info", labels=["queue", "key", "msqid", "owner", "group", "creator", "mode"]
        )
        for row in rows:
            key, mode = f"0x{row.key:08x}", f"{row.mode:04o}"
            owner, creator = pwd.getpwuid(row.uid).pw_name, pwd.getpwuid(row.cuid).pw_name
            info.add_metric([key, key, str(row.msqid), owner, grp.getgrgid(row.gid).gr_name, creator, mode], 1)
        yield info


if __name__ == "__main__":
    registry = CollectorRegistry()
    registry.register(PlainCollector())
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    threading.Event().wait()
