"""The rendered page is what prometheus_client's own parsers read back, whatever the label values."""

import gzip
import math
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric as LibraryMetric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition.families import Family, Metric
from exporter.exposition.gzipped import texts
from exporter.exposition.pages import Format, Pages, Query, render
from exporter.exposition.render import Renderer

GAUGE = Metric("some_gauge", "gauge", 'Help with \\ and "quotes"\nand a second line.', ("queue", "other"))
COUNTER = Metric("some_total", "counter", "Help.", ("queue",))

# What a label may hold: quotes, backslashes, newlines, percent signs, any of Unicode. Not \r and the other characters
# at which str.splitlines, which prometheus_client's parser is fed by, sees the end of a line.
label = st.text(st.one_of(st.sampled_from('"\\\n%{},= '), st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])))
number = st.one_of(st.integers(0, 1 << 62), st.floats(allow_nan=False))


def parse(gathered: Iterable[Family | LibraryMetric], form: Format) -> list[LibraryMetric]:
    page = b"".join(render(gathered, form, Renderer())).decode()
    return list((parse_openmetrics if form is Format.OPENMETRICS else parse_text)(page))


@pytest.mark.parametrize("form", Format)
@given(rows=st.dictionaries(st.tuples(label, label), number, max_size=8))
def test_any_row_comes_back(form: Format, rows: dict[tuple[str, str], float]) -> None:
    """Labels and values, in both formats; no rows, no family."""
    columns = [[key[0] for key in rows], [key[1] for key in rows]]
    families = parse([GAUGE.family(list(rows.values()), *columns)], form)
    found = {(s.labels["queue"], s.labels["other"]): float(s.value) for family in families for s in family.samples}
    assert found == {key: float(value) for key, value in rows.items()}
    assert [family.name for family in families] == (["some_gauge"] if rows else [])


@pytest.mark.parametrize("form", Format)
def test_help_and_type(form: Format) -> None:
    """As declared, a counter's family without its _total in OpenMetrics."""
    gauge, counter = parse([GAUGE.family([1], ["a"], ["b"]), COUNTER.family([2], ["a"])], form)
    assert (gauge.type, gauge.documentation) == ("gauge", GAUGE.help)
    assert (counter.name, counter.type) == ("some", "counter")
    assert [(s.name, s.value) for s in counter.samples] == [("some_total", 2)]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e-300, 0.1])
def test_floats(value: float) -> None:
    (family,) = parse([GAUGE.family([value, 1], ["a", "b"], ["", ""])], Format.TEXT)
    assert str(family.samples[0].value) == str(value)


def test_a_ratio_is_written_with_nine_digits() -> None:
    """Exact to less than a byte of any queue up to a gigabyte; what is whole stays whole."""
    ratio = Metric("some_ratio", "gauge", "Help.", ("queue",))
    values = [1 / 3, 1, 0.5, 1 - 2**-29, 0, 2.5]
    page = Renderer().render(ratio.family(values, "abcdef"), openmetrics=False)[1].text.decode()
    assert [line.split()[1] for line in page.splitlines()] == ["0.333333333", "1", "0.5", "0.999999998", "0", "2.5"]
    (_, alone) = Renderer().render(Metric("some_ratio", "gauge", "Help.").family([2 / 3]), openmetrics=False)
    assert alone.text == b"some_ratio 0.666666667\n"


def test_a_wrong_number_of_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="some_gauge has 2 labels, was given 1"):
        GAUGE.family([1], ["a"])


def test_a_template_serves_until_the_labels_change() -> None:
    """The same columns, then others, then fewer, then none: never an old label."""
    renderer = Renderer()
    queue, other = ["a", "b"], ["c", "d"]

    def lines(values: Sequence[float], *columns: list[str]) -> list[bytes]:
        return b"".join(texts(renderer.render(GAUGE.family(values, *columns), openmetrics=False))).splitlines()[2:]

    for values in ([1, 2], [3, 4]):
        assert lines(values, queue, other) == [
            b'some_gauge{queue="a",other="c"} %d' % values[0],
            b'some_gauge{queue="b",other="d"} %d' % values[1],
        ]
    assert lines([5, 6], queue, ["x", "y"])[0] == b'some_gauge{queue="a",other="x"} 5'
    assert lines([5], ["a"], ["z"]) == [b'some_gauge{queue="a",other="z"} 5']
    assert lines([], [], []) == []
    assert lines([7, 8], queue, other)[1] == b'some_gauge{queue="b",other="d"} 8'


def test_pages_are_made_anew_each_time() -> None:
    """Sharing ends with the work: a later client gets a later page."""
    values = iter(range(10))
    pages = Pages(lambda _query: [COUNTER.family([next(values)], ["a"])])
    assert b'some_total{queue="a"} 0\n' in b"".join(pages.page(Format.TEXT, compressed=False))
    zipped = b"".join(pages.page(Format.TEXT, compressed=True))
    assert b'some_total{queue="a"} 1\n' in gzip.decompress(zipped)


def test_unchanged_values_are_not_rendered_again_and_changed_ones_are() -> None:
    """The very same bytes while nothing changes; the right ones as soon as a value or a label does."""
    renderer = Renderer()
    queue, other = ("a", "b"), ("c", "d")

    def samples(*values: float, columns: tuple[Sequence[str], ...] = (queue, other)) -> bytes:
        return renderer.render(GAUGE.family(list(values), *columns), openmetrics=False)[1].text

    first = samples(1, 2)
    second = samples(1, 2)
    assert first == second
    assert samples(1, 2) is second
    assert samples(1, 3) == first.replace(b"} 2", b"} 3")
    assert samples(1, 3) == samples(1, 3) == samples(1, 3)
    assert samples(1.0, 3.5) == first.replace(b"} 1", b"} 1.0").replace(b"} 2", b"} 3.5")
    for _ in range(3):
        assert samples(1, 2, columns=(queue, ("c", "x"))) == first.replace(b'"d"', b'"x"')


@given(st.lists(st.lists(st.sampled_from([0, 1, 2.5]), min_size=2, max_size=2), max_size=8))
def test_what_is_kept_never_shows(history: list[list[float]]) -> None:
    """After any history of values, a renderer writes what a new one writes."""
    renderer = Renderer()
    columns = (("a", "b"), ("c", "d"))
    for values in history:
        family = GAUGE.family(values, *columns)
        assert texts(renderer.render(family, openmetrics=True)) == texts(Renderer().render(family, openmetrics=True))


def test_a_page_of_some_metrics_only() -> None:
    """By the name of the family or of a sample, of our families and of prometheus_client's."""
    seconds = Metric("some_seconds", "histogram", "Help.").histogram([1])
    pages = Pages(lambda _query: [GAUGE.family([1], ["a"], ["b"]), COUNTER.family([2], ["a"]), *seconds.collect()])

    def names(*wanted: str) -> set[str]:
        page = b"".join(pages.page(Format.TEXT, Query(names=frozenset(wanted)), compressed=False)).decode()
        return {family.name for family in parse_text(page)}

    assert names("some_total", "unknown") == {"some"}
    assert names("some_seconds_bucket", "some_gauge") == {"some_seconds", "some_gauge"}


def test_the_last_gathering_serves_for_a_while() -> None:
    """What a page showed is handed out again until it is too old; a part of the collectors is not what it shows."""
    values = iter(range(10))
    pages = Pages(lambda _query: [COUNTER.family([next(values)], ["a"])])
    pages.page(Format.TEXT, compressed=False)
    pages.page(Format.TEXT, Query(collectors=frozenset({"x"})), compressed=False)
    (kept,) = pages.gathered(60).items
    (fresh,) = pages.gathered(-1).items
    assert isinstance(kept, Family)
    assert isinstance(fresh, Family)
    assert (kept.values, fresh.values) == ([0], [2])


def test_units_in_openmetrics() -> None:
    """Where a name ends with its unit; the old text format has no such line."""
    size = Metric("some_bytes", "gauge", "Help.")
    elapsed = Metric("some_seconds", "histogram", "Help.").histogram([1])
    assert {family.unit for family in parse([size.family([1]), *elapsed.collect()], Format.OPENMETRICS)} == {
        "bytes",
        "seconds",
    }
    assert b"UNIT" not in b"".join(render([size.family([1])], Format.TEXT, Renderer()))
    (plain,) = parse([COUNTER.family([1], ["a"])], Format.OPENMETRICS)
    assert plain.unit == ""
