"""Draw numbers as SVG: stacked rates over time, bars beside each other, and a small line.

Nothing here reads or writes anything, and no plot needs a script. Colours are those of classes in
``base.css``, so that a plot follows dark and light. Places are in percent of the width: text keeps
its size on a narrow screen.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from destinations.pages.figures import compact, duration_text, time_text
from destinations.pages.markup import EMPTY, Html, element, escape, void

__all__ = ["Bar", "Series", "bar_list", "legend", "sparkline", "stacked_rates"]

_BARS: Final = 120
"""The most that stand beside each other: on a narrow screen, each is still two pixels wide."""
_HEIGHT: Final = 180
_TOP: Final = 16
"""Room above the highest tick for its number."""
_AXIS: Final = 24
_TICKS: Final = 4
_TIMES: Final = 5
_ONE_DAY: Final = 86_400
_STEPS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200),
    *(_ONE_DAY * days for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
"""The seconds that may be between two ticks."""
_LARGEST: Final = 10**100
_UNFIT: Final = re.compile(r"[^a-z0-9-]+")
_LONG_SUMMARY: Final = 8


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one kind, such as an outcome, one for each step of time.

    ``kind`` chooses the colour: the class ``kind-NAME`` of ``base.css``, for each outcome and state
    and for ``1`` to ``8`` for all else.
    """

    label: str
    kind: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a list of bars; ``note`` stands beside its number."""

    label: object
    value: float
    kind: str = "1"
    note: str = ""


def stacked_rates(  # noqa: PLR0913 - the parts of a plot, each with a default
    series: Sequence[Series],
    *,
    began: float,
    step: float,
    title: str,
    name: str = "rates",
    unit: str = "rows",
    height: int = _HEIGHT,
    zoned: bool = False,
) -> Html:
    """Return a figure of bars that are stacked: how many of each series there were in each step.

    The first value of each series is that of the ``step`` seconds from ``began`` on, in seconds
    since 1970. Where there are more than 120 steps, several are added up, from a round time on.
    Values that are negative or not finite count as 0. ``name`` tells this plot from others of the
    page; ``unit`` is what is counted. With ``zoned``, times of less than a day and the note on
    their zone have what a script needs to tell them in another zone. What is drawn is said in words
    as well, and pointing at a bar shows its numbers.
    """
    step = step if math.isfinite(step) and step > 0 else 1.0
    began = began if math.isfinite(began) else 0.0
    rows = [_Rows(one.label, one.kind, [_counted(value) for value in one.values]) for one in series]
    rows = [one for one in rows if any(one.values)]
    length = max((len(one.values) for one in series), default=0)
    if not rows:
        return _empty(title, f"No {unit} in this time.")
    merged = _merged(length, step)
    before = _before(began, step, merged)
    began -= step * before
    step *= merged
    rows = [one.merged(merged, before) for one in rows]
    bars = math.ceil((before + length) / merged)
    sums = [sum(one.at(place) for one in rows) for place in range(bars)]
    top, ticks = _number_ticks(max(sums))
    identity = _UNFIT.sub("-", name.lower()) or "plot"
    body = height - _AXIS - _TOP
    drawn = _Drawn(began, step, bars, top, body)
    said = _in_words(rows, sums, began, step, unit)
    picture = element(
        "svg",
        element("title", title, id=f"{identity}-title"),
        element("desc", said, id=f"{identity}-desc"),
        *(drawn.line(tick) for tick in ticks),
        *(drawn.bar(place, rows, unit) for place in range(bars) if sums[place]),
        *(drawn.number(tick) for tick in ticks),
        *drawn.times(zoned=zoned),
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
        width="100%",
        height=height,
        class_="rates",
    )
    zone = element("span", "times in UTC", class_="zone") if zoned else "times in UTC"
    note = element("p", f"{unit} in {_step_text(step)} each, ", zone, class_="axis-note")
    return element(
        "figure",
        element("figcaption", title),
        note,
        picture,
        legend((one.label, one.kind, sum(one.values)) for one in rows),
        class_="plot",
    )


def legend(entries: Iterable[tuple[str, str, float]]) -> Html:
    """Return what the colours mean: of each entry its label, kind and total."""
    rows = [
        element(
            "li",
            _swatch(kind),
            element("span", label),
            " ",
            element("b", _whole(total)),
        )
        for label, kind, total in entries
    ]
    return element("ul", *rows, class_="legend")


def bar_list(bars: Sequence[Bar], *, most: float | None = None) -> Html:
    """Return a list of horizontal bars, each with its label and number; long labels wrap.

    A bar is full at ``most``, by default the largest value.
    """
    values = [_counted(one.value) for one in bars]
    top = _counted(max(values, default=0) if most is None else most)
    rows = []
    for one, value in zip(bars, values, strict=True):
        share = _percent(min(value, top), top)
        shape = void(
            "rect", x=0, y=0, width=share, height="100%", rx=2, class_=f"kind-{_kind(one.kind)}"
        )
        rows.append(
            element(
                "li",
                element("span", one.label, class_="bar-label"),
                element("span", one.note, class_="bar-note") if one.note else EMPTY,
                element("span", _whole(value), class_="bar-number"),
                element("svg", shape, width="100%", height=8, aria_hidden="true"),
            )
        )
    return element("ul", *rows, class_="bars")


def sparkline(values: Sequence[float], *, label: str, width: int = 120, height: int = 24) -> Html:
    """Return a line without axes, in the size of text; ``label`` says what it shows."""
    counted = _thinned([_counted(value) for value in values])
    top = max(counted, default=0)
    ends = len(counted) - 1
    points = []
    for place, value in enumerate(counted):
        x = width * place / ends if ends else width / 2
        y = height - 2 - (height - 4) * _ratio(value, top)
        points.append(f"{x:.1f},{y:.1f}")
    if len(points) == 1:  # a line needs two ends
        points = [f"0,{points[0].partition(',')[2]}", f"{width},{points[0].partition(',')[2]}"]
    if not points:
        points = [f"0,{height - 2}", f"{width},{height - 2}"]
    last = _whole(counted[-1]) if counted else "0"
    return element(
        "svg",
        element("title", f"{label}: latest {last}, highest {_whole(top)}"),
        void("polyline", points=" ".join(points), class_="spark-line"),
        role="img",
        width=width,
        height=height,
        viewbox=f"0 0 {width} {height}",
        class_="spark",
    )


# -- numbers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """The numbers of a series, all of them 0 or more."""

    label: str
    kind: str
    values: Sequence[float]

    def at(self, place: int) -> float:
        return self.values[place] if place < len(self.values) else 0

    def merged(self, size: int, before: int) -> _Rows:
        """Return the sums of so many values each; those ``before`` the first one are 0."""
        if size == 1:
            return self
        starts = range(-before, len(self.values), size)
        sums = [sum(self.values[max(start, 0) : start + size]) for start in starts]
        return _Rows(self.label, self.kind, sums)


def _counted(value: float) -> float:
    """Return a number that can be drawn, and added up with others."""
    if isinstance(value, int):
        return min(max(value, 0), _LARGEST)
    return min(value, _LARGEST) if math.isfinite(value) and value > 0 else 0


def _merged(length: int, step: float) -> int:
    """Return how many steps are added up, so that not too many bars are left.

    Where it can be, what they last is a round time.
    """
    if length <= _BARS:
        return 1
    least = math.ceil(length / _BARS)
    for seconds in _STEPS:
        size = seconds / step
        if size >= least and size == round(size):
            return round(size) if size < length else least
    return least


def _before(began: float, step: float, merged: int) -> int:
    """Return how many steps before the first one a bar begins, so that it begins at a round time.

    That is 0 where steps do not begin at a multiple of their own length.
    """
    if merged == 1 or abs(began) >= 2**53 * step:
        return 0
    number = began / step
    return round(number) % merged if abs(number - round(number)) < 1e-3 else 0


def _thinned(values: list[float]) -> list[float]:
    """Return at most so many values as can be seen: of several, the highest."""
    size = math.ceil(len(values) / _BARS) or 1
    return [max(values[start : start + size]) for start in range(0, len(values), size)]


def _ratio(value: float, top: float) -> float:
    return value / top if top else 0.0


def _percent(value: float, top: float) -> str:
    return f"{100 * _ratio(value, top):.3f}".rstrip("0").rstrip(".") + "%"


def _whole(value: float) -> str:
    """Return a number as a person reads it; one that is too long gets short."""
    if value >= 10**15:
        return compact(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _number_ticks(most: float) -> tuple[float, list[float]]:
    """Return the top of the axis and its ticks at round numbers, without 0."""
    if most <= 1:
        return 1, [1]
    # In whole numbers: what is counted has no halves, and floats end at 10**308.
    whole = math.ceil(most)
    power = 10 ** (len(str(whole)) - 1)
    sizes = [power // 10, power // 5, power // 4, power // 2, power, power * 2, power * 5]
    if power > 1:
        sizes.insert(-1, power * 5 // 2)
    size = next(one for one in sizes if one and -(-whole // one) <= _TICKS)
    tops = -(-whole // size)
    return tops * size, [size * place for place in range(1, tops + 1)]


def _swatch(kind: str) -> Html:
    """Return a small square in a colour; what it means stands beside it."""
    square = void("rect", width=12, height=12, rx=2, class_=f"kind-{_kind(kind)}")
    return element("svg", square, width=12, height=12, aria_hidden="true")


def _kind(kind: str) -> str:
    return _UNFIT.sub("-", kind.lower()) or "1"


# -- words -----------------------------------------------------------------------------------------


def _in_words(
    rows: Sequence[_Rows], sums: Sequence[float], began: float, step: float, unit: str
) -> str:
    parts = [f"{_whole(sum(one.values))} {one.label}" for one in rows[:_LONG_SUMMARY]]
    if len(rows) > _LONG_SUMMARY:
        parts.append(f"{len(rows) - _LONG_SUMMARY} more kinds")
    most = max(sums)
    at = time_text(began + step * list(sums).index(most))
    span = f"From {time_text(began)}, for {_span_text(step * len(sums))}"
    return f"{span}: {', '.join(parts)}. Most {unit} in {_step_text(step)}: {_whole(most)}, {at}."


def _step_text(seconds: float) -> str:
    """Return how long a bar lasts; it is round, but for one of a single step."""
    if seconds >= _ONE_DAY:
        days = seconds / _ONE_DAY
        return f"{days:,.4g} day{'' if days == 1 else 's'}"
    for size, unit in ((3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.4g} s" if seconds < 3_600 else duration_text(seconds)


def _span_text(seconds: float) -> str:
    return duration_text(seconds) if seconds < 10**12 else "a long time"


def _empty(title: str, text: str) -> Html:
    return element(
        "figure", element("figcaption", title), element("p", text, class_="empty"), class_="plot"
    )


# -- the picture -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The scales of a plot: ``bars`` beside each other, and ``top`` at the height of ``body``."""

    began: float
    step: float
    bars: int
    top: float
    body: int

    def _y(self, value: float) -> float:
        return _TOP + self.body * (1 - _ratio(value, self.top))

    def line(self, tick: float) -> Html:
        """Return the line of a tick of the numbers."""
        y = f"{self._y(tick):.1f}"
        return void("line", x1=0, x2="100%", y1=y, y2=y, class_="grid")

    def number(self, tick: float) -> Html:
        """Return the number of a tick, which stands above its line."""
        y = f"{self._y(tick) - 3:.1f}"
        return element("text", compact(tick), x=0, y=y, class_="tick")

    def bar(self, place: int, rows: Sequence[_Rows], unit: str) -> Html:
        """Return what a step has, one kind upon the other."""
        x, width = _percent(place, self.bars), _percent(min(1, self.bars / 25), self.bars)
        shapes: list[Html] = []
        below: float = 0
        for one in rows:
            value = one.at(place)
            if not value:
                continue
            y, height = self._y(below + value), self._y(below) - self._y(below + value)
            below += value
            height = max(height, 1.0)  # a single one is to be seen even beside thousands
            shapes.append(
                void(
                    "rect",
                    x=x,
                    y=f"{y:.2f}",
                    width=width,
                    height=f"{height:.2f}",
                    class_=f"kind-{_kind(one.kind)}",
                )
            )
        parts = [f"{_whole(one.at(place))} {one.label}" for one in rows if one.at(place)]
        text = f"{time_text(self.began + place * self.step)}: {', '.join(parts)} {unit}"
        return element("g", element("title", text), *shapes)

    def times(self, *, zoned: bool = False) -> Iterable[Html]:
        """Yield the axis of time: a line, and ticks at round times with their texts."""
        y = _TOP + self.body
        yield void("line", x1=0, x2="100%", y1=y, y2=y, class_="axis")
        end = self.began + self.step * self.bars
        size, found = _time_ticks(self.began, end, self.step)
        for seconds in found:
            share = _ratio(seconds - self.began, end - self.began)
            x = f"{100 * share:.3f}%"
            yield void("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis")
            anchor = "start" if share < 0.08 else "end" if share > 0.92 else "middle"
            text = _tick_text(seconds, size)
            is_zoned = zoned and 60 <= size < _ONE_DAY
            at = datetime.fromtimestamp(seconds, UTC).isoformat() if is_zoned else None
            yield element(
                *("text", text), x=x, y=y + 17, text_anchor=anchor, class_="tick", data_time=at
            )


def _time_ticks(began: float, end: float, step: float) -> tuple[float, list[float]]:
    """Return the seconds between ticks, and the ticks: few, and at round times."""

    def least(ticks: int) -> int:
        return bisect.bisect_left(_STEPS, max((end - began) / ticks, step))

    at = least(_TIMES)
    if at < len(_STEPS) and _STEPS[at] < 60:  # texts with seconds are longer
        at = least(_TIMES - 1)
    if at < len(_STEPS) and _STEPS[at] < 1:
        at = least(_TIMES - 2)
    size = _STEPS[at] if at < len(_STEPS) else (end - began) / _TIMES
    if not size or began + size == began:  # too far from 1970 for any step
        return 1, [began]
    # Times since 1970 have no more than a quarter of a microsecond.
    first = math.ceil(began / size - 1e-3)
    found = [
        place * size
        for place in range(first, first + _TIMES + 2)
        if place * size <= end + size * 1e-3
    ]
    return size, found or [began]


def _tick_text(seconds: float, size: float) -> str:
    try:
        found = datetime.fromtimestamp(round(seconds, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return escape(compact(seconds))
    if size >= _ONE_DAY * 300:
        return f"{found:%Y-%m}"
    if size >= _ONE_DAY:
        return f"{found:%m-%d}"
    if size >= 60:
        is_midnight = not (found.hour or found.minute)
        return f"{found:%m-%d}" if is_midnight else f"{found:%H:%M}"
    if size >= 1:
        return f"{found:%H:%M:%S}"
    digits = max(1, -math.floor(math.log10(size)))
    return f"{found:%H:%M:%S}.{f'{found.microsecond:06}'[:digits]}"
