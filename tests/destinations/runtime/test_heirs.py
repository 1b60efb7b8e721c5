"""A delivery whose subscription is gone goes on by another one only where that is clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.runtime.heirs import heir
from destinations.runtime.subscription_key import SubscriptionKey

COUNT, OTHER = "count", "save"


def _key(name: str, action: str = COUNT) -> SubscriptionKey:
    return SubscriptionKey(name, action)


def _subscribed(*named: tuple[str, str]) -> Callable[[dict[str, Any]], None]:
    """A definition that has these subscriptions, by name and action."""

    def change(documents: dict[str, Any]) -> None:
        presets = documents["destination"]["presets"]
        by_action = {one["partnerAction"]: one for one in presets}
        documents["destination"]["presets"] = [
            {**by_action[action], "name": name} for name, action in named
        ]

    return change


Q, R, S = ("Q", COUNT), ("R", COUNT), ("S", OTHER)


@pytest.mark.parametrize(
    ("today", "takers", "known", "expected"),
    [
        pytest.param([Q, R], [Q], {"P": 0}, _key("Q"), id="split, and one takes it"),
        pytest.param([Q, R], [Q, R], {"P": 0}, "unclear", id="split, and both take it"),
        pytest.param([Q, R], [], {"P": 0}, None, id="split, and none takes it"),
        pytest.param([Q, R], [S], {"P": 0}, None, id="only another action takes it"),
        pytest.param([Q, R], [Q, R], {"P": 0, "Q": 1}, _key("R"), id="one has it already"),
        pytest.param([Q, R], [Q, R], {"P": 0, "Q": None}, _key("R"), id="one has applied it"),
        pytest.param([Q, R], [Q, R], {"P": 1, "O": 0}, _key("R"), id="two for two"),
        pytest.param([Q, R], [Q], {"P": 1, "O": 0}, "unclear", id="two for one"),
        pytest.param([Q, R], [Q], {"P": 1, "O": None}, "unclear", id="it may be another's"),
        pytest.param([Q, R], [Q, R], {"P": 1, "O": None}, "unclear", id="which may be either's"),
    ],
)
def test_the_subscription_that_goes_on(
    bind: Callable[..., Any],
    today: list[tuple[str, str]],
    takers: list[tuple[str, str]],
    known: Mapping[str, int | None],
    expected: object,
) -> None:
    """As many take the event as deliveries of it lack a subscription, or an operator has to say."""
    destination = bind(_subscribed(*today, S))
    found = heir(
        destination,
        _key("P"),
        [_key(*one) for one in takers],
        {_key(name): nth for name, nth in known.items()},
    )
    assert found == expected


@pytest.mark.parametrize(("takers", "expected"), [([S], _key(*S)), ([], None)])
def test_an_action_that_is_gone(
    bind: Callable[..., Any],
    takers: list[tuple[str, str]],
    expected: object,
) -> None:
    """Then the subscription of any other action may be meant."""
    destination = bind(_subscribed(S))
    gone = _key("P", "former")
    found = heir(destination, gone, [_key(*one) for one in takers], {gone: 0})
    assert found == expected
