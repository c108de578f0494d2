"""The highest bytes and messages of each queue over a sliding window of samples."""

from __future__ import annotations  # array[int] cannot be evaluated before Python 3.12

import threading
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.sysv.rows import QueueRow

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
    """Fed by the sampler and by every scrape, read by the scrape; msqid tells queues apart, so that a queue made
    anew under the same key starts anew.
    """

    def __init__(self, window: float) -> None:
        """`window` in seconds."""
        self._window = window
        self._slots: deque[_Slot] = deque()
        self._lock = threading.Lock()

    def add(self, moment: float, rows: Sequence[QueueRow]) -> None:
        """One sample of all queues; `moment` in seconds of a clock that never steps back."""
        new = _Slot(
            moment,
            array("q", [row.msqid for row in rows]),
            array("Q", [row.cbytes for row in rows]),
            array("Q", [row.qnum for row in rows]),
        )
        with self._lock:
            while self._slots and moment - self._slots[0].moment > self._window + self._window / _SLOTS:
                self._slots.popleft()
            last = self._slots[-1] if self._slots else None
            if last and moment - last.moment < self._window / _SLOTS and last.msqids == new.msqids:
                last.cbytes = array("Q", map(max, last.cbytes, new.cbytes))
                last.qnum = array("Q", map(max, last.qnum, new.qnum))
            else:
                self._slots.append(new)

    def highest(self, moment: float, msqids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Peak bytes and peak messages of each of `msqids`, each at least once given to `add` within the window."""
        with self._lock:
            slots = [slot for slot in self._slots if moment - slot.moment <= self._window + self._window / _SLOTS]
        cbytes: dict[int, int] = {}
        qnum: dict[int, int] = {}
        for group in _same_queues(slots):
            ids = group[0].msqids
            # One max() over all samples of a queue, in C, as long as the set of queues stays the same.
            _merge(cbytes, ids, [slot.cbytes for slot in group])
            _merge(qnum, ids, [slot.qnum for slot in group])
        return [cbytes[msqid] for msqid in msqids], [qnum[msqid] for msqid in msqids]


def _same_queues(slots: Sequence[_Slot]) -> list[list[_Slot]]:
    groups: list[list[_Slot]] = []
    for slot in slots:
        if groups and groups[-1][0].msqids == slot.msqids:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return groups


def _merge(peaks: dict[int, int], msqids: array[int], columns: list[array[int]]) -> None:
    highest = columns[0] if len(columns) == 1 else map(max, *columns)
    if peaks:
        for msqid, value in zip(msqids, highest, strict=True):
            peaks[msqid] = max(value, peaks.get(msqid, 0))
    else:
        peaks.update(zip(msqids, highest, strict=True))
