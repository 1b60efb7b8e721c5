from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.pages import Bar, Series, bar_list, base_css, legend, sparkline, stacked_rates
from tests.well_formed import parsed

BEGAN = 1_777_888_800.0  # 2026-05-04 10:00:00 UTC
LABELS = st.text(st.characters(), max_size=12)
VALUES = st.integers(min_value=-3, max_value=10**40) | st.floats()
SERIES = st.lists(st.builds(Series, LABELS, LABELS, st.lists(VALUES, max_size=300)), max_size=4)
PLACED = ("x", "y", "width", "height", "x1", "x2", "y1", "y2")


def _drawn(markup: str) -> ET.Element:
    """What a parser finds: raises for what is not well-formed."""
    return parsed(markup)


def _bars(figure: ET.Element) -> list[ET.Element]:
    """What is drawn for each step of time."""
    return figure.findall("svg/g")


def _values(element: ET.Element) -> list[float]:
    found = [element.attrib[name] for name in PLACED if name in element.attrib]
    return [float(one.removesuffix("%")) for one in found]


@given(SERIES, st.floats(), st.floats(), LABELS, LABELS)
def test_any_plot_is_well_formed(
    series: Sequence[Series], began: float, step: float, title: str, name: str
) -> None:
    """Whatever the labels and numbers are, a parser finds a figure, and all is within it."""
    figure = _drawn(stacked_rates(series, began=began, step=step, title=title, name=name))
    assert figure.tag == "figure"
    assert {one.tag for one in figure.iter()} <= {
        *("figure", "figcaption", "p", "svg", "title", "desc", "g", "rect", "line", "text"),
        *("ul", "li", "span", "b"),
    }
    for shape in figure.iter("rect"):
        assert all(0 <= value <= 200.5 for value in _values(shape))
    assert len(_bars(figure)) <= 121
    assert not [key for one in figure.iter() for key in one.attrib if key.startswith("on")]


@given(st.lists(st.builds(Bar, LABELS, VALUES, LABELS, LABELS), max_size=8))
def test_any_list_of_bars_is_well_formed(bars: Sequence[Bar]) -> None:
    """Each bar has its label, and fits its place."""
    found = _drawn(bar_list(bars))
    assert len(found) == len(bars)
    for shape in found.iter("rect"):
        assert all(0 <= value <= 100 for value in _values(shape))


@given(st.lists(VALUES, max_size=300), LABELS)
def test_any_small_line_is_well_formed(values: Sequence[float], label: str) -> None:
    """A line stays in its place, also that of no value."""
    found = _drawn(sparkline(values, label=label))
    (line,) = found.findall("polyline")
    points = [one.split(",") for one in line.attrib["points"].split()]
    assert len(points) >= 2
    assert all(0 <= float(x) <= 120 and 0 <= float(y) <= 24 for x, y in points)


@pytest.mark.parametrize(
    "series",
    [
        [],
        [Series("delivered", "delivered", [])],
        [Series("delivered", "delivered", [0, 0, 0])],
        [Series("delivered", "delivered", [float("nan"), float("-inf"), -1])],
    ],
)
def test_nothing_to_draw(series: Sequence[Series]) -> None:
    """Where there is nothing, a sentence says so, and no empty axis stands there."""
    figure = _drawn(stacked_rates(series, began=BEGAN, step=1, title="Rates"))
    assert figure.find("svg") is None
    assert figure.findtext("p") == "No rows in this time."


def test_a_plot_says_what_it_shows() -> None:
    """Title and description are those of the picture, in words for who does not see it."""
    series = [
        Series("delivered", "delivered", [10, 20, 0]),
        Series("dead", "dead", [0, 1, 0]),
        Series("held", "held", [0, 0, 0]),
    ]
    figure = _drawn(stacked_rates(series, began=BEGAN, step=10, title="Rates", name="Run 1"))
    (picture,) = figure.findall("svg")
    named = {one.attrib["id"]: one.text for one in picture if "id" in one.attrib}
    assert picture.attrib["role"] == "img"
    assert picture.attrib["aria-labelledby"].split() == list(named)
    assert named == {
        "run-1-title": "Rates",
        "run-1-desc": (
            "From 2026-05-04 10:00:00 UTC, for 30.0 s: 30 delivered, 1 dead. "
            "Most rows in 10 s: 21, 2026-05-04 10:00:10 UTC."
        ),
    }
    # What does not occur is not in the legend; a step without anything has no bar.
    assert ["".join(one.itertext()) for one in figure.findall("ul/li")] == [
        *("delivered 30", "dead 1"),
    ]
    assert [one.findtext("title") for one in _bars(figure)] == [
        "2026-05-04 10:00:00 UTC: 10 delivered rows",
        "2026-05-04 10:00:10 UTC: 20 delivered, 1 dead rows",
    ]


@pytest.mark.parametrize(
    ("length", "step", "bars", "note"),
    [
        (1, 1.0, 1, "rows in 1 s each, times in UTC"),
        (120, 1.0, 120, "rows in 1 s each, times in UTC"),
        (121, 1.0, 61, "rows in 2 s each, times in UTC"),
        (100_000, 1.0, 112, "rows in 15 min each, times in UTC"),
        (100_000, 0.7, 120, "rows in 583.8 s each, times in UTC"),
        (365, 86_400.0, 53, "rows in 7 days each, times in UTC"),
    ],
)
def test_many_steps_are_added_up(length: int, step: float, bars: int, note: str) -> None:
    """A plot has at most 120 bars, each of a round time where there is one; nothing is lost."""
    figure = _drawn(
        stacked_rates(
            [Series("delivered", "delivered", [1] * length)],
            began=BEGAN,
            step=step,
            title="Rates",
        )
    )
    assert len(_bars(figure)) == bars
    assert figure.findtext("p") == note
    assert figure.findtext("ul/li/b") == f"{length:,}"


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (1, ["1"]),
        (2, ["1", "2"]),
        (4, ["1", "2", "3", "4"]),
        (5, ["2", "4", "6"]),
        (7, ["2", "4", "6", "8"]),
        (9, ["5", "10"]),
        (21, ["10", "20", "30"]),
        (999, ["250", "500", "750", "1k"]),
        (12_345, ["5k", "10k", "15k"]),
        (10**40, ["2.5e39", "5e39", "7.5e39", "1e40"]),
    ],
)
def test_ticks_are_round(most: int, ticks: Sequence[str]) -> None:
    """The axis of numbers has at most four ticks, at round numbers, from the bottom up."""
    series = [Series("rows", "1", [most])]
    figure = _drawn(stacked_rates(series, began=BEGAN, step=1, title="Rates"))
    texts = [
        one for one in figure.findall("svg/text") if one.attrib["x"] == "0" and one.text is not None
    ]
    assert [one.text for one in texts] == list(ticks)
    places = [float(one.attrib["y"]) for one in texts]
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(
    ("step", "length", "times"),
    [
        (0.001, 4, ["10:00:00.000", "10:00:00.002", "10:00:00.004"]),
        (0.1, 1, ["10:00:00.0", "10:00:00.1"]),
        (0.1, 10, ["10:00:00.0", "10:00:00.5", "10:00:01.0"]),
        (0.1, 20, ["10:00:00", "10:00:01", "10:00:02"]),
        (0.1, 90, ["10:00:00", "10:00:05"]),
        (1, 60, ["10:00:00", "10:00:15", "10:00:30", "10:00:45", "10:01:00"]),
        (60, 60, ["10:00", "10:15", "10:30", "10:45", "11:00"]),
        (3_600, 48, ["12:00", "05-05", "12:00", "05-06"]),
        (1, 1, ["10:00:00", "10:00:01"]),
        (86_400, 2, ["05-05", "05-06"]),
        (86_400, 30, ["05-07", "05-14", "05-21", "05-28"]),
    ],
)
def test_times_are_round(step: float, length: int, times: Sequence[str]) -> None:
    """The axis of time has few ticks, at round times."""
    series = [Series("rows", "1", [1] * length)]
    figure = _drawn(stacked_rates(series, began=BEGAN, step=step, title="Rates"))
    texts = [one.text for one in figure.findall("svg/text") if one.attrib["x"] != "0"]
    assert texts == list(times)


def test_added_up_steps_begin_at_round_times() -> None:
    """A bar of 15 seconds begins at a quarter of a minute, whenever the first step was."""
    figure = _drawn(
        stacked_rates(
            [Series("delivered", "delivered", [1] * 1_500)],
            began=BEGAN + 7,
            step=1,
            title="Rates",
        )
    )
    titles = [one.findtext("title") for one in _bars(figure)]
    assert titles[:2] == [
        "2026-05-04 10:00:00 UTC: 8 delivered rows",
        "2026-05-04 10:00:15 UTC: 15 delivered rows",
    ]
    assert titles[-1] == "2026-05-04 10:25:00 UTC: 7 delivered rows"


def test_the_smallest_number_is_seen() -> None:
    """One dead row beside a million delivered ones has a bar that is not nothing."""
    series = [Series("delivered", "delivered", [10**6]), Series("dead", "dead", [1])]
    figure = _drawn(stacked_rates(series, began=BEGAN, step=1, title="Rates"))
    (bar,) = _bars(figure)
    heights = [float(one.attrib["height"]) for one in bar.findall("rect")]
    assert heights[1] == 1


def test_colours_are_those_of_the_style() -> None:
    """Each outcome and state has a colour of its own, for dark and light."""
    style = base_css()
    kinds = set(re.findall(r"\.kind-([a-z]+)", style))
    for kind in kinds:
        # Light, dark and on paper.
        assert len(re.findall(rf"^\s+--{kind}: #", style, flags=re.MULTILINE)) == 3
    assert 'class="kind-dead"' in legend([("dead", "dead", 1)])
