"""Collector `limits`: kernel.msgmnb, msgmax and msgmni, and what the chosen profile recommends."""

import argparse
from pathlib import Path
from typing import Final, NamedTuple

from exporter.collectors.base import Collector, CollectorSpec, Families, Flags
from exporter.collectors.context import BuildContext
from exporter.collectors.snapshot import Scrape
from exporter.exposition.families import Family, Metric
from exporter.sysv.sysctl import PROFILES, Recommended, read_limits

MSGMNB: Final = Metric(
    "sysv_msgmnb_bytes",
    "gauge",
    "sysctl kernel.msgmnb: the limit in bytes that a queue gets when it is created.",
)
MSGMAX: Final = Metric("sysv_msgmax_bytes", "gauge", "sysctl kernel.msgmax: the maximum size of one message.")
MSGMNI: Final = Metric("sysv_msgmni_queues", "gauge", "sysctl kernel.msgmni: the maximum number of queues.")
MSGMNB_RECOMMENDED: Final = Metric(
    "sysv_msgmnb_recommended_bytes", "gauge", "kernel.msgmnb as --collector.limits.profile recommends it."
)
MSGMAX_RECOMMENDED: Final = Metric(
    "sysv_msgmax_recommended_bytes", "gauge", "kernel.msgmax as --collector.limits.profile recommends it."
)
MSGMNI_RECOMMENDED: Final = Metric(
    "sysv_msgmni_recommended_queues",
    "gauge",
    "kernel.msgmni as --collector.limits.profile recommends it; absent if the profile makes no demand.",
)


class LimitsCollector(Collector):
    """Three small files of /proc/sys, read at every scrape."""

    def __init__(self, procfs: Path, recommended: Recommended | None) -> None:
        self._procfs = procfs
        self._recommended = recommended

    def collect(self, scrape: Scrape) -> Families:  # noqa: ARG002  # reads no queues
        """Return the sysctls and the recommended values. Raise OSError or ValueError if /proc/sys lacks them."""
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


class LimitSettings(NamedTuple):
    """What --collector.limits.* set."""

    profile: str = "small"


def _build(context: BuildContext) -> LimitsCollector:
    return LimitsCollector(context.settings.procfs, PROFILES[context.settings.of(LimitSettings).profile])


def _add_flags(group: argparse._ArgumentGroup) -> None:  # argparse has no public name for a group
    group.add_argument(
        "--collector.limits.profile", dest="limits_profile", choices=list(PROFILES), default=LimitSettings().profile,
        help="recommended sysctls: small = msgmnb 16384, msgmax 8192; large = 65536, 16384, msgmni 32000; "
        "none (default %(default)s)",
    )  # fmt: skip  # one line of arguments and one of help


SPEC: Final = CollectorSpec(
    "limits",
    True,
    _build,
    "sysctls kernel.msgmnb, msgmax, msgmni, and what is recommended",
    Flags(_add_flags, lambda options: LimitSettings(options.limits_profile)),
)
