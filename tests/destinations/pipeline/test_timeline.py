from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.outcome import Outcome, State, Status
from destinations.pipeline.timeline import Timeline

DELIVERED, DEAD, READY = Outcome.DELIVERED, Outcome.DEAD, State.READY
BEGAN = 1_777_888_800.0

STATUSES: Sequence[Status] = (*Outcome, *State)
ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(STATUSES), max_size=4),
        st.floats(min_value=0, max_value=100_000_000),
    ),
    max_size=60,
)


def _made(rows: Sequence[tuple[Sequence[Status], float]]) -> Timeline:
    timeline = Timeline()
    for statuses, now in rows:
        timeline.add(statuses, now)
    return timeline


@given(ROWS)
def test_no_row_is_lost(rows: Sequence[tuple[Sequence[Status], float]]) -> None:
    """Whenever rows come, the counts add up, and stay few; as JSON it is the same."""
    timeline = _made(rows)
    values = timeline.values()
    counted = {status: sum(numbers) for status, numbers in values.items()}
    assert counted == Counter(status for statuses, _ in rows for status in statuses)
    lengths = {len(numbers) for numbers in values.values()}
    assert len(lengths) <= 1
    assert all(length <= 401 for length in lengths)
    again = Timeline.from_json(json.loads(json.dumps(timeline.to_json())))
    assert (again.values(), again.step) == (values, timeline.step)
    if values:
        assert again.began == timeline.began


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(1, 0.1), (39, 0.1), (41, 0.2), (81, 1.0), (399, 1.0), (3_600, 10.0), (86_400, 300.0)],
)
def test_a_step_is_round(seconds: int, step: float) -> None:
    """The longer a run is, the longer is a step; it is always a round time."""
    timeline = _made([([DELIVERED], BEGAN + at) for at in range(seconds)])
    assert timeline.step == step
    assert round(timeline.began * 1_000) % round(step * 1_000) == 0
    assert len(timeline.values()[DELIVERED]) <= 401


def test_each_step_has_its_rows() -> None:
    """A row is counted in the step in which it came."""
    timeline = _made(
        [([DELIVERED, DEAD], BEGAN), ([DELIVERED], BEGAN + 0.05), ([DEAD], BEGAN + 0.3)]
    )
    assert timeline.values() == {DELIVERED: [2, 0, 0, 0], DEAD: [1, 0, 0, 1]}
    assert (timeline.began, timeline.step) == (BEGAN, 0.1)


def test_a_clock_that_is_set_back() -> None:
    """Rows that come before the first one are counted as well."""
    timeline = _made([([DELIVERED], BEGAN), ([DEAD], BEGAN - 0.2)])
    assert timeline.values() == {DELIVERED: [0, 0, 1], DEAD: [1, 0, 0]}


def test_a_row_that_is_replaced() -> None:
    """It is counted as what it is now, at the latest time at which there was one of its kind."""
    timeline = _made([([DEAD], BEGAN), ([DEAD], BEGAN + 0.1), ([DELIVERED], BEGAN + 0.2)])
    timeline.replace(DEAD, Outcome.FILTERED)
    assert timeline.values() == {
        DELIVERED: [0, 0, 1],
        Outcome.FILTERED: [0, 1, 0],
        DEAD: [1, 0, 0],
    }
    timeline.replace(READY, DEAD)  # there is none
    assert sum(map(sum, timeline.values().values())) == 3


def test_nothing() -> None:
    """A run without rows has no step."""
    assert (Timeline().values(), Timeline().began) == ({}, 0)
