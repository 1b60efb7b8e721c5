"""Rules, findings and messages for tests of alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.telemetry.alerts import AlertRule, Condition, Finding, Kind, Message


@pytest.fixture
def clock() -> StillClock:
    """A clock that moves only when a test says so."""
    return StillClock()


@pytest.fixture
def rule() -> Callable[..., AlertRule]:
    """A rule on a condition, told to the sink ``page``."""

    def make(
        kind: Kind = "dead",
        over: float = 0,
        within: float = 900,
        least: int = 0,
        **more: Any,
    ) -> AlertRule:
        condition = Condition(kind, over, within, least)
        return AlertRule(**{"name": kind, "condition": condition, "sinks": ("page",), **more})

    return make


@pytest.fixture
def finding() -> Callable[..., Finding]:
    """What was found of the rule ``dead``."""

    def make(*, holds: bool = True, rule: str = "dead", destination: str = "kana") -> Finding:
        what = "3 deliveries dead"
        return Finding(rule, destination, holds, what, "more than 2", "destinations status")

    return make


@pytest.fixture
def message() -> Callable[..., Message]:
    """A message about an alert on dead deliveries."""

    def make(**more: Any) -> Message:
        given = {
            "id": "msg_1",
            "kind": "opened",
            "at": 1_700_000_000.5,
            "alert": "a1",
            "rule": "dead",
            "condition": "dead",
            "destination": "kana",
            "what": "14 deliveries dead within 15m",
            "limit": "more than 10",
            "command": "destinations deliveries list --outcome dead --destination kana",
            "since": 1_700_000_000.5,
            "numbers": {"value": 14, "over": 10, "within": 900},
        }
        return Message(**{**given, **more})

    return make
