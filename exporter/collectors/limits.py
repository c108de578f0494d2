"""Collector `limits`: kernel.msgmnb, msgmax and msgmni, and what the chosen profile recommends."""

from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, Families
from exporter.collectors.context import BuildContext
from exporter.exposition.families import Family, Metric
from exporter.sysv.sysctl import PROFILES, Recommended, read_limits

MSGMNB: Final = Metric(
    "sysv_msgmnb_bytes",
    "gauge",
    "sysctl kernel.msgmnb: the limit in bytes that a queue gets when it is created.",
)
MSGMAX: Final = Metric("sysv_msgmax_bytes", "gauge", "sysctl kernel.msgmax: the most bytes that one message may have.")
MSGMNI: Final = Metric("sysv_msgmni_queues", "gauge", "sysctl kernel.msgmni: the most queues that may exist.")
MSGMNB_RECOMMENDED: Final = Metric(
    "sysv_msgmnb_recommended_bytes", "gauge", "kernel.msgmnb as --collector.limits.profile recommends it."
)
MSGMAX_RECOMMENDED: Final = Metric(
    "sysv_msgmax_recommended_bytes", "gauge", "kernel.msgmax as --collector.limits.profile recommends it."
)
MSGMNI_RECOMMENDED: Final = Metric(
    "sysv_msgmni_recommended_queues",
    "gauge",
    "kernel.msgmni as --collector.limits.profile recommends it; absent where the profile makes no demand.",
)


class LimitsCollector(Collector):
    """Three small files of /proc/sys, read at every scrape."""

    def __init__(self, procfs: Path, recommended: Recommended | None) -> None:
        self._procfs = procfs
        self._recommended = recommended

    def collect(self) -> Families:
        """The sysctls, and the recommendation; OSError or ValueError where /proc/sys has them not."""
        limits = read_limits(self._procfs)
        families: list[Family] = [
            MSGMNB.family([limits.msgmnb]),
            MSGMAX.family([limits.msgmax]),
            MSGMNI.family([limits.msgmni]),
        ]
        if self._recommended:
            families += [
                MSGMNB_RECOMMENDED.family([self._recommended.msgmnb]),
                MSGMAX_RECOMMENDED.family([self._recommended.msgmax]),
            ]
            if self._recommended.msgmni is not None:
                families.append(MSGMNI_RECOMMENDED.family([self._recommended.msgmni]))
        return families


def build(context: BuildContext) -> LimitsCollector:
    """From the flags."""
    return LimitsCollector(context.settings.procfs, PROFILES[context.settings.limits_profile])
