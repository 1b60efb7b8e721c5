"""Deliveries and what became of them, for watchers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.queue import Claimed, State, Step


@pytest.fixture
def claimed() -> Callable[..., Claimed]:
    """A delivery by its id; its event has that number times ten, and was accepted at 100."""

    def make(number: int = 1, action: str = "count: Counts", **more: Any) -> Claimed:
        return Claimed(number, 10 * number, f"user-{number}", action, b"{}", 100.0, **more)

    return make


@pytest.fixture
def step(claimed: Callable[..., Claimed]) -> Callable[..., Step]:
    """What became of a delivery."""

    def make(
        number: int = 1,
        state: State = State.DONE,
        outcome: Outcome = Outcome.DELIVERED,
        *,
        reason: str = "",
        code: str | None = None,
        status: int | None = None,
        **more: Any,
    ) -> Step:
        return Step(claimed(number), state, Result(outcome, reason, code, status), **more)

    return make
