"""Metrics of the exporter itself: its build and its process."""

import platform
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client import Metric as LibraryMetric

import exporter
from exporter.exposition.families import Family, Metric

BUILD_INFO: Final = Metric(
    "openvpn_mq_exporter_build_info",
    "gauge",
    "Version and commit of the exporter, and of the Python that runs it; always 1.",
    ("version", "revision", "pythonversion"),
)


@cache
def revision() -> str:
    """Return the commit that this was built from; "unknown" if the build did not record it."""
    try:
        return Path(exporter.__file__).with_name("REVISION").read_text().strip()
    except OSError:
        return "unknown"


class ProcessMetrics:
    """The build, and what prometheus_client tells of this process and of Python."""

    def __init__(self, procfs: Path, *, library: bool) -> None:
        """`library`: with process_* and python_info, those of prometheus_client."""
        self._registry = CollectorRegistry()
        if library:
            ProcessCollector(proc=str(procfs), registry=self._registry)
            PlatformCollector(registry=self._registry)

    def collect(self) -> list[Family | LibraryMetric]:
        """Return what identifies the build and, with `library`, what the process uses."""
        build = BUILD_INFO.family([1], [exporter.__version__], [revision()], [platform.python_version()])
        return [build, *self._registry.collect()]
