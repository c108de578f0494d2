"""The flags of the collector `queues`: which queues get series of their own, and how their peaks are sampled."""

import argparse
from typing import Final

from exporter.collectors.base import Flags
from exporter.collectors.snapshot import QueueSettings
from exporter.config.durations import parse_duration
from exporter.config.flags import count, regex, value


def _add_flags(group: argparse._ArgumentGroup) -> None:  # argparse has no public name for a group
    default = QueueSettings()
    group.add_argument(
        "--collector.queues.include", dest="queues_include", metavar="REGEX", type=value(regex),
        help="only queues whose whole label matches",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    group.add_argument(
        "--collector.queues.exclude", dest="queues_exclude", metavar="REGEX", type=value(regex),
        help="no queues whose whole label matches",
    )  # fmt: skip
    group.add_argument(
        "--collector.queues.max-series", dest="queues_max_series", metavar="N", type=value(count),
        default=default.max_series,
        help="maximum number of queues with series of their own; the fullest are kept; 0 = no limit "
        "(default %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--collector.queues.sample-interval", dest="queues_sample_interval", metavar="DURATION",
        type=value(parse_duration), default=default.sample_interval,
        help=f"how often queues are read between scrapes, for their peaks (default {default.sample_interval:g}s)",
    )  # fmt: skip
    group.add_argument(
        "--collector.queues.peak-window", dest="queues_peak_window", metavar="DURATION",
        type=value(parse_duration), default=default.peak_window,
        help=f"how far back a peak may lie (default {default.peak_window:g}s)",
    )  # fmt: skip


def _read_flags(options: argparse.Namespace) -> QueueSettings:
    return QueueSettings(
        include=options.queues_include,
        exclude=options.queues_exclude,
        max_series=options.queues_max_series,
        sample_interval=options.queues_sample_interval,
        peak_window=options.queues_peak_window,
    )


FLAGS: Final = Flags(_add_flags, _read_flags)
