"""The highest bytes and messages of each queue over a sliding window of samples."""

from __future__ import annotations  # array[int] cannot be evaluated before Python 3.12

import threading
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from exporter.sysv.queues import Queues, larger

# A sample that comes within a sixtieth of the window after the last one is merged into it: memory and the time for
# reading the peaks stay bounded however short the interval, and a peak is kept at most that much longer.
_SLOTS: Final = 60


@dataclass
class _Slot:
    moment: float  # of its first sample
    msqids: array[int]
    cbytes: array[int]
    qnum: array[int]


class Peaks:
    """Fed by the sampler and by every scrape, read by the scrape.

    Queues are told apart by msqid, so that a queue that is made again under the same key starts from nothing.
    """

    def __init__(self, window: float) -> None:
        """`window` in seconds."""
        self._window = window
        self._slots: deque[_Slot] = deque()
        self._lock = threading.Lock()

    def add(self, moment: float, queues: Queues) -> None:
        """Add one sample of all queues; `moment` in seconds of a monotonic clock."""
        new = _Slot(moment, array("q", queues.msqid), array("Q", queues.cbytes), array("Q", queues.qnum))
        with self._lock:
            while self._slots and self._too_old(moment, self._slots[0]):
                self._slots.popleft()
            last = self._slots[-1] if self._slots else None
            if last and last.msqids == new.msqids:
                # Most queues rest most of the time: equal columns are kept, and compared later, as one.
                new.msqids = last.msqids
                new.cbytes = last.cbytes if last.cbytes == new.cbytes else new.cbytes
                new.qnum = last.qnum if last.qnum == new.qnum else new.qnum
                if moment - last.moment < self._window / _SLOTS:
                    new.moment = last.moment
                    if new.cbytes is not last.cbytes:
                        new.cbytes = array("Q", _highest([last.cbytes, new.cbytes]))
                    if new.qnum is not last.qnum:
                        new.qnum = array("Q", _highest([last.qnum, new.qnum]))
                    self._slots.pop()
            self._slots.append(new)

    def highest(self, moment: float, msqids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return peak bytes and peak messages of each of `msqids`; each must have been added within the window."""
        with self._lock:
            slots = [slot for slot in self._slots if not self._too_old(moment, slot)]
        wanted = array("q", msqids)
        groups = _same_queues(slots)
        if len(groups) == 1 and groups[0][0].msqids == wanted:
            return _highest([slot.cbytes for slot in slots]), _highest([slot.qnum for slot in slots])
        cbytes = dict.fromkeys(msqids, 0)
        qnum = dict.fromkeys(msqids, 0)
        for group in groups:
            _merge(cbytes, group[0].msqids, _highest([slot.cbytes for slot in group]))
            _merge(qnum, group[0].msqids, _highest([slot.qnum for slot in group]))
        return list(cbytes.values()), list(qnum.values())

    def _too_old(self, moment: float, slot: _Slot) -> bool:
        return moment - slot.moment > self._window + self._window / _SLOTS


def _same_queues(slots: Sequence[_Slot]) -> list[list[_Slot]]:
    groups: list[list[_Slot]] = []
    for slot in slots:
        if groups and groups[-1][0].msqids == slot.msqids:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return groups


def _highest(columns: list[array[int]]) -> list[int]:
    """Return the maximum over all samples of each queue."""
    first, *others = {id(column): column for column in columns}.values()
    return reduce(larger, others, first.tolist())


def _merge(peaks: dict[int, int], msqids: array[int], values: list[int]) -> None:
    for msqid, value in zip(msqids, values, strict=True):
        if value > peaks.get(msqid, value):
            peaks[msqid] = value
