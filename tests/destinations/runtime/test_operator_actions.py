"""Actions that only an operator asks for: no event reaches them, and what is theirs is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition.comparison import Bump, compare
from destinations.outcome import Outcome
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.runtime.plan import plan
from destinations.runtime.subscription_key import SubscriptionKey

KEY = SubscriptionKey("sync", "sync")
Bind = Callable[..., Destination]
Documents = dict[str, dict[str, Any]]


def _asked(documents: Documents) -> None:
    """Only an operator asks for the action ``sync``."""
    documents["sync"]["operator"] = True
    del documents["destination"]["presets"][2]


def _event(kind: str) -> bytes:
    event = {"type": kind, "userId": "u", "event": "E", "groupId": "g", "previousId": "p"}
    return json.dumps(event).encode()


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_no_event_reaches_it(bind: Bind, kind: str) -> None:
    """Whatever its type, and whatever it asks for."""
    destination = bind(_asked)
    planned = plan(destination, _event(kind))
    assert "sync" not in {one.key.action for one in planned.deliveries if one.key is not None}
    assert "sync" not in {one.action for one in explain(destination, _event(kind)).subscriptions}


def test_what_is_planned_for_it(bind: Bind) -> None:
    """An event that is of it already has the payload of its fields."""
    destination = bind(_asked)
    (planned,) = plan(destination, _event("alias"), only=KEY).deliveries
    assert (planned.key, planned.payload, planned.result) == (KEY, {"id": "u"}, None)
    (other,) = plan(destination, _event("alias"), only=SubscriptionKey("x", "sync")).deliveries
    assert other.result is not None
    assert other.result.outcome is Outcome.FILTERED


def test_what_it_is_known_by(bind: Bind) -> None:
    """By its slug, beside the subscriptions, so that a delivery of it finds it again."""
    destination = bind(_asked)
    assert KEY in destination.by_key
    assert "sync" in destination.actions
    assert [one.key for one in destination.successors(KEY)] == [KEY]
    assert KEY not in {one.key for one in destination.subscriptions}
    assert "sync" not in destination.definition.event_actions


def test_what_becomes_one_takes_no_events_any_more(bind: Bind) -> None:
    """Users of the definition have to do something."""
    before, after = bind().definition, bind(_asked).definition
    found = {one.path: one for one in compare(before, after)}
    assert found["/actions/sync/operator"].bump is Bump.MAJOR
