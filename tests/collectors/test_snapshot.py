"""What the collectors of one scrape share, and how full the fullest queue is."""

import math
from pathlib import Path

import pytest

from exporter.collectors.context import build_context
from exporter.collectors.queues import SPEC
from exporter.collectors.queues_families import FILL
from exporter.collectors.snapshot import QueueSnapshot, Scrape
from exporter.config.model import Settings
from exporter.exposition.pages import Format, render
from exporter.exposition.render import Renderer
from exporter.sysv.fill import fill_ratios, max_fill
from exporter.sysv.queues import NO_QUEUES, UNKNOWN_LIMIT, Queues
from tests.support.program import samples as page_samples


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


@pytest.mark.parametrize(
    ("rows", "msgmnb", "expected"),
    [
        ([(50, 1, 100), (10, 90, 100), (0, 0, 16384)], None, [0.5, 0.9, 0.0]),
        ([(150, 1, 100), (1, 1, 1)], None, [1.5, 1.0]),
        ([(0, 1, 0), (50, 1, 100)], None, [None, 0.5]),  # a queue that takes nothing has no fill
        ([(50, 1, 100), (50, 2, UNKNOWN_LIMIT), (0, 150, UNKNOWN_LIMIT)], 200, [0.5, 0.25, 0.75]),
        ([(50, 1, 100), (50, 1, UNKNOWN_LIMIT)], 0, [0.5, None]),
        ([(50, 1, 100), (50, 1, UNKNOWN_LIMIT)], None, [0.5, None]),
    ],
    ids=["known", "full", "zero", "from-msgmnb", "msgmnb-zero", "unknown"],
)
def test_fill(
    rows: list[tuple[int, int, int]], msgmnb: int | None, expected: list[float | None], tmp_path: Path
) -> None:
    """As a column; and as the collector exports it, of those queues only that have one."""
    found = queues(*rows)
    column = fill_ratios(found.cbytes, found.qnum, found.qbytes, msgmnb)
    assert [None if math.isnan(fill) else fill for fill in column] == expected
    if msgmnb is not None:
        (tmp_path / "sys/kernel").mkdir(parents=True)
        for name, value in (("msgmnb", msgmnb), ("msgmax", 8192), ("msgmni", 32000)):
            (tmp_path / "sys/kernel" / name).write_text(f"{value}\n")
    collector = SPEC.build(build_context(Settings(procfs=tmp_path)))
    assert collector
    labels = [f"q{number}" for number in range(len(rows))]
    families = list(collector.collect(Scrape(lambda: QueueSnapshot(found, found, labels, 0, 0))))
    samples = page_samples(b"".join(render(families, Format.TEXT, Renderer())).decode())
    exported = {dict(labels)["queue"]: value for (name, labels), value in samples.items() if name == FILL.name}
    assert exported == {label: fill for label, fill in zip(labels, expected, strict=True) if fill is not None}


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
