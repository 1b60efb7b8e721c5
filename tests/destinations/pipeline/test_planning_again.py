"""What waits is sent as today's definition has it; where that has none for it, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.queue import History, Past, QueuedDelivery, QueuedEvent
from destinations.runtime.subscription_key import SubscriptionKey

Bench = Any
"""See ``conftest.py``."""

EVENT = {
    "type": "track",
    "event": "E",
    "userId": "u",
    "messageId": "m",
    "properties": {"by": 2, "thing": "t"},
}
RAW = json.dumps(EVENT).encode()
PAGE = json.dumps({**EVENT, "type": "page"}).encode()


def _presets(*named: tuple[str, str]) -> Callable[[dict[str, Any]], None]:
    """A definition whose subscriptions of the action ``count`` have these names and types."""

    def change(documents: dict[str, Any]) -> None:
        presets = documents["destination"]["presets"]
        (usual,) = [preset for preset in presets if preset["partnerAction"] == "count"]
        others = [preset for preset in presets if preset is not usual]
        documents["destination"]["presets"] = others + [
            {**usual, "name": name, "subscribe": f'type = "{kind}"'} for name, kind in named
        ]

    return change


def _waiting(key: tuple[str, str], raw: bytes | None) -> QueuedDelivery:
    event = QueuedEvent("m", "track", "u", 0.0, raw)
    return QueuedDelivery(event, SubscriptionKey(*key), plan="of an earlier definition", id=1000)


@pytest.mark.parametrize(
    ("presets", "key", "raw", "expected"),
    [
        # Its own is there, whatever others there are.
        ([("Counts", "track")], ("Counts", "count"), RAW, "mapped"),
        ([("Counts", "track")], ("Counts", "count"), PAGE, "filtered"),
        ([("A", "track"), ("B", "track")], ("B", "count"), RAW, "mapped"),
        # It has another name: only one can be meant.
        ([("Renamed", "track")], ("Counts", "count"), RAW, "mapped"),
        ([("Renamed", "page")], ("Counts", "count"), RAW, "filtered"),
        # Of an earlier version, which noted no name where there was one.
        ([("Counts", "track")], ("", "count"), RAW, "mapped"),
        # Several could be meant, or none: an operator has to say.
        ([("A", "track"), ("B", "page")], ("", "count"), RAW, "SUBSCRIPTION_GONE"),
        ([("A", "track"), ("B", "track")], ("C", "count"), RAW, "SUBSCRIPTION_GONE"),
        ([("A", "track")], ("A", "removed"), RAW, "SUBSCRIPTION_GONE"),
        # What cannot be sent any more.
        ([("A", "track")], ("A", "count"), b"{", "NOT_JSON"),
        ([("A", "track")], ("A", "count"), None, "EVENT_GONE"),
    ],
)
def test_the_subscription_that_is_meant(
    bench: Callable[..., Bench],
    presets: list[tuple[str, str]],
    key: tuple[str, str],
    raw: bytes | None,
    expected: str,
) -> None:
    """Nothing that waits is dropped in silence because a subscription has another name now."""
    one = bench(_presets(*presets))
    delivery = _waiting(key, raw)
    found = one.pipeline.plan_again(delivery, "today", one.destination)
    if found is None:
        assert expected == "mapped"
        assert json.loads(delivery.payload)["by"] == 2
        assert (delivery.action, delivery.plan, delivery.replanned) == ("count", "today", True)
    else:
        assert expected in {found.code, found.outcome.value}
        assert (found.outcome is Outcome.DEAD) is expected.endswith("GONE")


def test_an_internal_error_of_the_mapping(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends its own event, and is told."""
    one = bench()

    def fail(*_: object, **__: object) -> Result:
        raise ZeroDivisionError

    monkeypatch.setattr(one.destination, "payloads", fail)
    found = one.pipeline.plan_again(_waiting(("Counts", "count"), RAW), "today", one.destination)
    assert found.outcome is Outcome.DEAD
    assert [type(error) for error in one.told.errors] == [ZeroDivisionError]


def test_an_internal_error_while_an_heir_is_looked_for(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends its own event as well, where the subscription of that is gone."""
    one = bench(_presets(("A", "track"), ("B", "page")))
    delivery = _waiting(("Gone", "count"), RAW)
    history = History(1, 0, {delivery.key: Past(1000, 0, State.READY, None, Effect.NONE)})
    monkeypatch.setattr(one.pipeline, "_history_of", lambda _: history)
    assert one.pipeline.plan_again(delivery, "today", one.destination) is None
    assert delivery.key == ("A", "count")

    def fail(*_: object, **__: object) -> Result:
        raise ZeroDivisionError

    monkeypatch.setattr(one.destination, "payloads", fail)
    delivery = _waiting(("Gone", "count"), RAW)
    found = one.pipeline.plan_again(delivery, "today", one.destination)
    assert found.outcome is Outcome.DEAD
    assert [type(error) for error in one.told.errors] == [ZeroDivisionError]


def test_it_is_planned_once(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted by today's definition is sent as it was planned then."""
    one = bench()
    planned = []
    usual = one.destination.payloads

    def noted(*given: Any, **more: Any) -> Any:
        planned.append(given)
        return usual(*given, **more)

    monkeypatch.setattr(one.destination, "payloads", noted)
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert len(planned) == 2
    assert one.partner.counts == {"a": 1, "b": 1}


def test_another_definition_plans_anew(bench: Callable[..., Bench]) -> None:
    """After a change of the definition what waits is sent by the new one, and so it is noted."""
    one = bench()
    one.accept_raw(one.event("a", 1, "m"))
    one.restart()
    one.clock.now += 0.0

    definition = one.destination
    one.destination.__dict__["_static_digest"] = "another"
    subscription = definition.subscriptions[0]
    subscription.payload = lambda event: {"by": 7, "thing": event["userId"]}
    one.partner.counts.clear()
    one.run()
    assert one.partner.counts.get("a") in {7, None} or one.partner.counts == {"a": 7}
    assert one.entries[0].plan == "another"
