"""A stream made of parts unpacks to the whole page, and what has not changed is not compressed again."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.families import Metric
from exporter.exposition.gzipped import Part, gzipped
from exporter.exposition.pages import Format, Pages

GAUGE = Metric("some_gauge", "gauge", "Help.", ("queue",))


def unpacked(stream: list[bytes]) -> bytes:
    """Unpack as a client does that knows streams of one member only; zlib compares the checksum and the length."""
    client = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = client.decompress(b"".join(stream))
    assert client.eof
    assert not client.unused_data
    return text


@given(st.lists(st.binary(max_size=300)))
def test_any_parts(pieces: list[bytes]) -> None:
    """Empty ones too, and none at all; twice, as the second time uses what is kept."""
    parts = [Part(piece) for piece in pieces]
    first = gzipped(parts)
    assert unpacked(first) == b"".join(pieces)
    assert gzipped(parts) == first


@pytest.mark.parametrize("sizes", [(65_535, 65_536, 65_537), (1_000_003,), (200_000, 3, 70_000, 0, 4096)])
def test_long_parts(sizes: tuple[int, ...]) -> None:
    """Whose checksums are combined."""
    draw = random.Random(sum(sizes))  # noqa: S311  # no secret
    pieces = [draw.randbytes(size) for size in sizes]
    parts = [Part(piece) for piece in pieces]
    for chosen in (parts, parts[::-1], parts + parts):
        assert unpacked(gzipped(chosen)) == b"".join(part.text for part in chosen)


@pytest.mark.parametrize("form", Format)
def test_what_has_not_changed_is_not_compressed_again(form: Format) -> None:
    """The very same bytes are sent from the second unchanged page on; a change shows at once."""
    values = [1] * 5000
    queue = tuple(f"queue {number}" for number in range(len(values)))
    pages = Pages(lambda _query: [GAUGE.family(list(values), queue)])

    def page() -> tuple[bytes, set[int]]:
        stream = pages.page(form, compressed=True)
        sent.append(stream)  # so that no id is used again
        return unpacked(stream), {id(piece) for piece in stream if len(piece) > 10_000}

    sent: list[list[bytes]] = []
    page()
    before, kept = page()
    assert kept
    assert page() == (before, kept)
    values[4321] = 2
    after, others = page()
    assert after == before.replace(b'"queue 4321"} 1', b'"queue 4321"} 2') != before
    assert not kept & others
