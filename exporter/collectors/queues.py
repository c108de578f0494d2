"""Collector `queues`: every System V message queue's bytes, messages, limit, peaks, times and pids."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exporter.collectors.base import Collector, CollectorSpec, Families, PartialResultError
from exporter.collectors.context import BuildContext
from exporter.collectors.queues_families import (
    BYTES,
    FILL,
    INFO,
    LAST_CHANGE,
    LAST_RECEIVE,
    LAST_RECEIVE_PID,
    LAST_SEND,
    LAST_SEND_PID,
    LIMIT,
    MAX_FILL,
    MESSAGES,
    OMITTED,
    PEAK_BYTES,
    PEAK_MESSAGES,
    QUEUES,
    TOTAL_BYTES,
    TOTAL_MESSAGES,
)
from exporter.collectors.queues_flags import FLAGS
from exporter.collectors.snapshot import QueueSettings, Scrape
from exporter.exposition.families import Family
from exporter.memo import MemoizeLast
from exporter.sysv.fill import fill_ratios, max_fill
from exporter.sysv.ids import AccountNames
from exporter.sysv.keys import key_texts
from exporter.sysv.peaks import Peaks
from exporter.sysv.queues import UNKNOWN_LIMIT, Queues
from exporter.sysv.sampler import Sampler
from exporter.sysv.sysctl import read_limits


class QueuesCollector(Collector):
    """Reads all queues at every scrape, and samples them in between for their peaks."""

    def __init__(self, peaks: Peaks, sampler: Sampler | None, procfs: Path) -> None:
        """`sampler` feeds `peaks`; without one there are none."""
        self._peaks = peaks
        self._sampler = sampler
        self._procfs = procfs
        self._fills = MemoizeLast(fill_ratios)
        self._accounts = AccountNames()
        self._owners = MemoizeLast(lambda uids, _version: self._accounts.users(uids))
        self._groups = MemoizeLast(lambda gids, _version: self._accounts.groups(gids))
        self._creators = MemoizeLast(lambda uids, _version: self._accounts.users(uids))
        self._keys = MemoizeLast(key_texts)
        self._msqids = MemoizeLast(lambda msqids: tuple(map(str, msqids)))
        self._modes = MemoizeLast(lambda modes: tuple(f"{mode:04o}" for mode in modes))

    def start(self) -> None:
        """Start to sample, and to look names up."""
        self._accounts.start()
        if self._sampler:
            self._sampler.start()

    def stop(self) -> None:
        """Stop both."""
        if self._sampler:
            self._sampler.stop()
        self._accounts.stop()

    def collect(self, scrape: Scrape) -> Families:
        """Return a series per chosen queue, and the totals over all; PartialResultError if sampling has ended."""
        everything, chosen, queue, filtered, limited = scrape.queues
        self._peaks.add(time.monotonic(), everything)
        fullest = max_fill(everything)
        families = [
            *self._families(chosen, queue),
            QUEUES.family([len(everything.msqid)]),
            TOTAL_BYTES.family([sum(everything.cbytes)]),
            TOTAL_MESSAGES.family([sum(everything.qnum)]),
            OMITTED.family([filtered, limited], ["filter", "limit"]),
            MAX_FILL.family([] if fullest is None else [fullest]),
        ]
        if self._sampler and self._sampler.fault:
            raise PartialResultError(f"peaks are not sampled: {self._sampler.fault}", families)
        return families

    def _families(self, queues: Queues, queue: Sequence[str]) -> list[Family]:
        known = queue
        limits = queues.qbytes
        if UNKNOWN_LIMIT in limits:
            known = [label for label, limit in zip(queue, limits, strict=True) if limit != UNKNOWN_LIMIT]
            limits = [limit for limit in limits if limit != UNKNOWN_LIMIT]
        version = self._accounts.version
        families = [
            BYTES.family(queues.cbytes, queue),
            MESSAGES.family(queues.qnum, queue),
            LIMIT.family(limits, known),
            self._fill(queues, queue),
            LAST_SEND.family(queues.stime, queue),
            LAST_RECEIVE.family(queues.rtime, queue),
            LAST_CHANGE.family(queues.ctime, queue),
            LAST_SEND_PID.family(queues.lspid, queue),
            LAST_RECEIVE_PID.family(queues.lrpid, queue),
            INFO.family(
                (1,) * len(queue),
                queue,
                self._keys(queues.key),
                self._msqids(queues.msqid),
                self._owners(queues.uid, version),
                self._groups(queues.gid, version),
                self._creators(queues.cuid, version),
                self._modes(queues.mode),
            ),
        ]
        if self._sampler:
            peak_bytes, peak_messages = self._peaks.highest(time.monotonic(), queues.msqid)
            families += [PEAK_BYTES.family(peak_bytes, queue), PEAK_MESSAGES.family(peak_messages, queue)]
        return families

    def _fill(self, queues: Queues, queue: Sequence[str]) -> Family:
        limits = queues.qbytes
        fills = self._fills(queues.cbytes, queues.qnum, limits, self._msgmnb(queues))
        if 0 not in limits and UNKNOWN_LIMIT not in limits:
            return FILL.family(fills, queue)
        known = [(fill, label) for fill, label in zip(fills, queue, strict=True) if not math.isnan(fill)]
        return FILL.family([fill for fill, _ in known], [label for _, label in known])

    def _msgmnb(self, queues: Queues) -> int | None:
        """Return the limit that new queues get; None if it is not needed, or cannot be read either."""
        if UNKNOWN_LIMIT not in queues.qbytes:
            return None
        try:
            return read_limits(self._procfs).msgmnb
        except (OSError, ValueError):
            return None


def _build(context: BuildContext) -> QueuesCollector:
    # No sampler with --once: a single reading has no interval to sample.
    settings = context.settings.of(QueueSettings)
    peaks = Peaks(settings.peak_window)
    sampler = None if context.settings.once else Sampler(context.reader, peaks, settings.sample_interval)
    return QueuesCollector(peaks, sampler, context.settings.procfs)


SPEC: Final = CollectorSpec("queues", True, _build, "System V message queues, from msgctl", FLAGS)
