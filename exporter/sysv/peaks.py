"""The highest bytes and messages of each queue over a sliding window of samples."""

from __future__ import annotations  # array[int] cannot be evaluated before Python 3.12

import threading
from array import array
from collections import deque
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import Final, NamedTuple

from exporter.sysv.queues import Queues, larger

# A sample that comes within a sixtieth of the window after the last one is merged into it: memory stays bounded
# however short the interval, and a peak is kept at most that much longer.
_SLOTS: Final = 60


class Peaks:
    """Fed by the sampler and by every scrape, read by the scrape.

    Queues are told apart by msqid, so that a queue that is made again under the same key starts from nothing.
    """

    def __init__(self, window: float) -> None:
        """`window` in seconds."""
        self._slot = window / _SLOTS
        self._window = window + self._slot
        self._runs: deque[_Run] = deque()
        self._lock = threading.Lock()

    def add(self, moment: float, queues: Queues) -> None:
        """Add one sample of all queues; `moment` in seconds of a monotonic clock."""
        msqids = array("q", queues.msqid)
        sample = _Sample(moment, array("Q", queues.cbytes), array("Q", queues.qnum))
        with self._lock:
            self._drop(moment)
            if not self._runs or self._runs[-1].msqids != msqids:
                self._runs.append(_Run(msqids, self._slot))
            self._runs[-1].add(sample)

    def highest(self, moment: float, msqids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return peak bytes and peak messages of each of `msqids`; each must have been added within the window."""
        with self._lock:
            self._drop(moment)
            maxima = [(run.msqids, *run.highest()) for run in self._runs]
        if len(maxima) == 1 and maxima[0][0] == array("q", msqids):
            _, cbytes, qnum = maxima[0]
            return cbytes.tolist(), qnum.tolist()
        peak_bytes = dict.fromkeys(msqids, 0)
        peak_messages = dict.fromkeys(msqids, 0)
        for known, cbytes, qnum in maxima:
            _merge(peak_bytes, known, cbytes)
            _merge(peak_messages, known, qnum)
        return list(peak_bytes.values()), list(peak_messages.values())

    def _drop(self, moment: float) -> None:
        while self._runs and not self._runs[0].drop(moment - self._window):
            self._runs.popleft()


class _Sample(NamedTuple):
    moment: float  # of its first reading
    cbytes: array[int]
    qnum: array[int]


class _Run:
    """Successive samples of the same queues, whose maximum is always at hand.

    On a busy host every sample differs, and comparing all of them at each scrape would take longer than the rest of it.
    So the older samples are kept as maxima, each from that sample to the end of the older ones, and the newer samples
    beside their running maximum: what is left at any moment has its maximum in two samples. When the last of the older
    ones has been dropped, the newer ones become the older ones.
    """

    def __init__(self, msqids: array[int], slot: float) -> None:
        """`slot` in seconds: closer samples become one."""
        self.msqids = msqids
        self._slot = slot
        self._last: _Sample | None = None
        self._older: list[_Sample] = []  # the latest first
        self._newer: list[_Sample] = []  # the latest last
        self._highest_newer: _Sample | None = None

    def add(self, sample: _Sample) -> None:
        """Add the latest sample."""
        last = self._last or sample
        # Most queues rest most of the time: equal columns are kept, and compared later, as one.
        sample = _Sample(sample.moment, _same(last.cbytes, sample.cbytes), _same(last.qnum, sample.qnum))
        self._last = sample
        if self._newer and sample.moment - self._newer[-1].moment < self._slot:
            self._newer[-1] = _maximum(self._newer[-1], sample)
        else:
            self._newer.append(sample)
        highest = self._highest_newer
        if highest is None:
            self._highest_newer = sample
        elif sample.cbytes is not last.cbytes or sample.qnum is not last.qnum:  # otherwise they are in it already
            self._highest_newer = _maximum(highest, sample)

    def drop(self, before: float) -> bool:
        """Drop what is older than that moment; return whether anything is left."""
        self._drop_older(before)
        if not self._older and self._newer and self._newer[0].moment < before:
            self._older = [*accumulate(reversed(self._newer), lambda later, sample: _maximum(sample, later))]
            self._newer = []
            self._highest_newer = None
            self._drop_older(before)
        return bool(self._older or self._newer)

    def highest(self) -> tuple[array[int], array[int]]:
        """Return the highest bytes and messages of each queue. There must be a sample left."""
        left = [*self._older[-1:], *([self._highest_newer] if self._highest_newer else [])]
        highest = reduce(_maximum, left)
        return highest.cbytes, highest.qnum

    def _drop_older(self, before: float) -> None:
        while self._older and self._older[-1].moment < before:
            self._older.pop()


def _maximum(one: _Sample, other: _Sample) -> _Sample:
    """Return the maximum of each queue, with the moment of `one`."""
    return _Sample(one.moment, _larger(one.cbytes, other.cbytes), _larger(one.qnum, other.qnum))


def _larger(one: array[int], other: array[int]) -> array[int]:
    if one is other:
        return one
    return _same(one, _same(other, array("Q", larger(one, other))))


def _same(known: array[int], column: array[int]) -> array[int]:
    """Return the known column if the other is equal to it."""
    return known if known == column else column


def _merge(peaks: dict[int, int], msqids: array[int], values: array[int]) -> None:
    for msqid, value in zip(msqids, values, strict=True):
        if value > peaks.get(msqid, value):
            peaks[msqid] = value
