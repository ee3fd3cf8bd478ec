"""The palette, measured; names that must not touch; tables; figures with words."""

import io
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

Linear = tuple[float, float, float]

LEAST_LIGHTNESS_STEP = 12.0
"""In L*, of 100: what a careful eye still tells apart on paper."""
LEAST_DIFFERENCE = 15.0
"""ΔE (CIE76) between two colours as a colour-blind reader sees them."""

# Machado, Oliveira and Fernandes 2009, full severity, for linear RGB.
COLOUR_BLINDNESS = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(colour: str) -> Linear:
    def channel(at: int) -> float:
        value = int(colour[at : at + 2], 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    return channel(1), channel(3), channel(5)


def luminance(rgb: Linear) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def lab(rgb: Linear) -> Linear:
    """CIE L*a*b* under D65."""
    red, green, blue = (min(max(part, 0.0), 1.0) for part in rgb)
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        luminance((red, green, blue)),
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast_on_white(colour: str) -> float:
    return 1.05 / (luminance(linear(colour)) + 0.05)


def test_lightness_alone_tells_the_colours_apart() -> None:
    lightness = [lab(linear(colour))[0] for colour in style.PALETTE]
    assert lightness == sorted(lightness)
    steps = [after - before for before, after in pairwise(lightness)]
    assert min(steps) >= LEAST_LIGHTNESS_STEP


@pytest.mark.parametrize("kind", COLOUR_BLINDNESS)
def test_no_colour_blindness_brings_two_together(kind: str) -> None:
    def seen(colour: str) -> Linear:
        rgb = linear(colour)
        first, second, third = (
            sum(weight * part for weight, part in zip(row, rgb, strict=True))
            for row in COLOUR_BLINDNESS[kind]
        )
        return lab((first, second, third))

    for one, other in combinations([seen(colour) for colour in style.PALETTE], 2):
        difference = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        assert difference >= LEAST_DIFFERENCE


@pytest.mark.parametrize("number", range(len(style.PALETTE)))
def test_names_can_be_read(number: int) -> None:
    assert contrast_on_white(style.readable(number)) >= 3.5


def test_quiet_words_can_be_read() -> None:
    assert contrast_on_white(style.QUIET) >= 4.5
    assert contrast_on_white(style.GUESS) >= 4.5


def test_curves_beyond_the_palette_differ_in_their_dashes() -> None:
    looks = {(style.colour(number), str(style.dash(number))) for number in range(16)}
    assert len(looks) == 16


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_spread_keeps_names_apart_and_in_order(values: list[float]) -> None:
    placed = style.spread(values, 6.0)
    order = sorted(range(len(values)), key=values.__getitem__)
    for before, after in pairwise(order):
        assert placed[after] - placed[before] >= 6.0 - 1e-6


def test_spread_leaves_alone_what_is_apart() -> None:
    assert style.spread([10, 90, 50], 6.0) == [10, 90, 50]


TABLE = Table(("name", "part", "n"), (("a < b", "66.7%", "10"), ("c", "33.3%", "9")), "A caption")


def test_a_table_as_text() -> None:
    assert str(TABLE) == (
        "A caption\n\nname    part   n\n-----  -----  --\na < b  66.7%  10\nc      33.3%   9"
    )


def test_a_table_as_html() -> None:
    page = TABLE._repr_html_()
    assert "<caption>A caption</caption>" in page
    assert "a &lt; b" in page
    assert '<th scope="col" style="text-align:right">part</th>' in page
    assert '<td style="text-align:left">c</td>' in page


def test_an_empty_heading_is_no_heading() -> None:
    page = Table(("", "part"), (("a", "1"),))._repr_html_()
    assert '<thead><tr><td style="text-align:left"></td><th scope="col"' in page


def test_a_column() -> None:
    assert TABLE.column("part") == ("66.7%", "33.3%")
    with pytest.raises(ValueError):
        TABLE.column("nothing")


def test_an_empty_table() -> None:
    assert str(Table(("a", "b"), ())) == "a  b\n-  -"


def test_a_figure_needs_words() -> None:
    with pytest.raises(ValueError, match="alternative text"):
        Figure(None, alt=" ", table=TABLE)


def test_a_figure_shows_its_picture_its_words_and_its_numbers() -> None:
    with style.picture(height_in=1) as drawing:
        drawing.subplots().plot([0, 1], [0, 1])
    figure = Figure(drawing, alt='A line that says "up"', table=TABLE)
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert 'alt="A line that says &quot;up&quot;"' in bundle["text/html"]
    assert "<td" in bundle["text/html"]
    assert bundle["text/plain"].startswith('A line that says "up"\n\nA caption')
    with Image.open(io.BytesIO(figure.png)) as image:
        assert image.size == (round(style.WIDTH_IN * 150), 150)
