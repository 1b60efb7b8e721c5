"""When a request is sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import RetryPolicy
from destinations.runtime.retry import Outage, next_delay

POLICY = RetryPolicy(attempts=5, base=1.0, cap=6.0, max_retry_after=20.0, deadline=30.0)


@pytest.mark.parametrize(
    ("attempt", "elapsed", "retry_after", "draw", "delay"),
    [
        (1, 0.0, None, 1.0, 1.0),
        (2, 0.0, None, 1.0, 2.0),
        (3, 0.0, None, 1.0, 4.0),
        (4, 0.0, None, 1.0, 6.0),
        (4, 0.0, None, 0.5, 3.0),
        (1, 0.0, None, 0.0, 0.0),
        (5, 0.0, None, 1.0, None),
        (6, 0.0, None, 0.0, None),
        (1, 0.0, 7.0, 1.0, 7.0),
        (1, 0.0, 0.0, 1.0, 0.0),
        (1, 0.0, -3.0, 1.0, 0.0),
        (1, 0.0, 3600.0, 1.0, 20.0),
        (5, 0.0, 7.0, 1.0, None),
        (1, 29.0, None, 1.0, 1.0),
        (1, 29.5, None, 1.0, None),
        (1, 29.5, None, 0.5, 0.5),
        (1, 25.0, 7.0, 0.0, None),
        (1, 31.0, None, 0.0, None),
    ],
)
def test_delays(
    attempt: int, elapsed: float, retry_after: float | None, draw: float, delay: float | None
) -> None:
    """Exponential with full jitter, or what the partner asked for; never after the deadline."""
    found = next_delay(
        POLICY, attempt=attempt, elapsed=elapsed, retry_after=retry_after, draw=lambda: draw
    )
    assert found == delay


@given(
    attempt=st.integers(1, 10**6),
    elapsed=st.floats(0, 1e9),
    retry_after=st.none() | st.floats(-1e9, 1e9),
    draw=st.floats(0, 1),
)
def test_a_delay_stays_within_the_policy(
    attempt: int, elapsed: float, retry_after: float | None, draw: float
) -> None:
    """However long it goes on: no negative wait, none over its bound, none past the deadline."""
    policy = RetryPolicy(attempts=10**9, base=0.5, cap=10.0, max_retry_after=60.0, deadline=3600.0)
    delay = next_delay(
        policy, attempt=attempt, elapsed=elapsed, retry_after=retry_after, draw=lambda: draw
    )
    if delay is None:
        assert elapsed + 60.0 > 3600.0
    else:
        assert 0.0 <= delay <= (10.0 if retry_after is None else 60.0)
        assert elapsed + delay <= 3600.0


def test_an_outage_counts_from_its_first_failure() -> None:
    """Further failures do not move its start, an answer ends it, and the next one starts anew."""
    outage = Outage()
    assert outage.elapsed(5.0) == 0.0
    outage.failed(10.0)
    outage.failed(12.0)
    assert outage.elapsed(15.0) == 5.0
    outage.recovered()
    assert outage.elapsed(16.0) == 0.0
    outage.failed(20.0)
    assert outage.elapsed(21.0) == 1.0
