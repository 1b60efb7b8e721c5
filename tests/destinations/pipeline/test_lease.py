"""The times of a lease: what docs/scaling.md says of them."""

from __future__ import annotations

import pytest

from destinations.pipeline.lease import LeaseTimes


@pytest.mark.parametrize(
    ("lease", "beat", "margin"), [(15.0, 3.0, 2.0), (2.0, 0.4, 0.27), (600.0, 120.0, 80.0)]
)
def test_beat_and_margin_follow_from_the_lease(lease: float, beat: float, margin: float) -> None:
    """Several beats may be lost, and it stops before others take over."""
    times = LeaseTimes.of(lease)
    assert times.lease == lease
    assert times.beat == pytest.approx(beat)
    assert times.margin == pytest.approx(margin, abs=0.005)
    assert LeaseTimes.of(15.0) == LeaseTimes()
