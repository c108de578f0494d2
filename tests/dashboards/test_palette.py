"""States look different to colour-blind eyes too."""

import itertools

import pytest

from dashboards.panels import BAD, GOOD, GREY, NEUTRAL, WARNING

EYES: dict[str, list[list[float]]] = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""What reaches the eye, of linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1)."""

TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = (0.9505, 1.0, 1.089)

Vector = list[float]


def times(matrix: list[Vector], vector: Vector) -> Vector:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour: str) -> Vector:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def lab(rgb: Vector) -> Vector:
    x, y, z = (
        part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116
        for part in (max(value, 0) / white for value, white in zip(times(TO_XYZ, rgb), WHITE, strict=True))
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def seen(colour: str, eyes: str) -> Vector:
    return lab([min(max(part, 0.0), 1.0) for part in times(EYES[eyes], linear(colour))])


def distance(one: Vector, other: Vector) -> float:
    """CIE 1976: 2 is just noticeable, and 10 at a glance."""
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("one", "other"), [*itertools.combinations([GOOD, WARNING, BAD, GREY], 2)])
def test_states_differ(one: str, other: str, eyes: str) -> None:
    """Twice what tells two colours apart at a glance."""
    assert distance(seen(one, eyes), seen(other, eyes)) > 20


@pytest.mark.parametrize(("colour", "least"), [(GOOD, 4.5), (BAD, 4.5), (NEUTRAL, 4.5), (WARNING, 3.8)])
def test_white_words_can_be_read(colour: str, least: float) -> None:
    """Contrast of at least 4.5 to 1, as WCAG 2 asks; an orange with as much could be taken for red."""
    luminance = times(TO_XYZ, linear(colour))[1]
    assert 1.05 / (luminance + 0.05) >= least


def test_the_measure_is_right() -> None:
    """Pure red and green are far apart for most people; for deuteranopes their hue is the same."""
    red, green = "#d40000", "#5a8700"
    assert distance(seen(red, "normal"), seen(green, "normal")) > 90
    assert distance(seen(red, "deuteranopia"), seen(green, "deuteranopia")) < 35
