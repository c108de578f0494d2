"""What the collectors of one scrape share, and how full the fullest queue is."""

import pytest

from exporter.collectors.snapshot import QueueSnapshot, Scrape
from exporter.sysv.fill import max_fill
from exporter.sysv.queues import NO_QUEUES, UNKNOWN_LIMIT, Queues


def queues(*rows: tuple[int, int, int]) -> Queues:
    """Queues of (cbytes, qnum, qbytes)."""
    columns = dict(zip(("cbytes", "qnum", "qbytes"), zip(*rows, strict=True), strict=True))
    return Queues(*((0,) * len(rows) for _ in Queues._fields))._replace(**columns)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(50, 1, 100), (10, 90, 100), (0, 0, 16384)], 0.9),  # by count
        ([(150, 1, 100)], 1.5),  # a limit that was lowered
        ([(0, 0, 0), (50, 1, 100)], 1.0),  # nothing fits into a queue with limit 0
        ([(0, 0, 0), (150, 1, 100)], 1.5),
        ([(0, 0, 100)], 0.0),
        ([(50, 1, 100), (16384, 1, UNKNOWN_LIMIT)], None),  # the one that is not known may be the fullest
    ],
)
def test_max_fill(rows: list[tuple[int, int, int]], expected: float | None) -> None:
    assert max_fill(queues(*rows)) == expected


def test_without_a_queue_no_fill() -> None:
    assert max_fill(NO_QUEUES) is None


def test_the_queues_are_read_once_per_scrape_and_only_if_asked_for() -> None:
    reads = []

    def read() -> QueueSnapshot:
        reads.append(1)
        if len(reads) == 1:
            raise OSError("odd")
        return QueueSnapshot(NO_QUEUES, NO_QUEUES, (), 0, 0)

    scrape = Scrape(read)
    assert not reads
    with pytest.raises(OSError, match="odd"):
        _ = scrape.queues
    assert scrape.queues is scrape.queues
    assert len(reads) == 2
