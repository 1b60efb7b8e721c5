"""Which events a destination takes, through which subscriptions, and for whose account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.outcome import Outcome, Result
from destinations.runtime.destination import Delivery, Destination

Bind = Callable[..., Destination]
Documents = dict[str, Any]


def _track(**changes: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "Used", "userId": "u"}
    return {**event, "properties": {"by": 1, "thing": "t"}, **changes}


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({}, None, ""),
        ({"integrations": {"All": False, "Sample": True}}, None, ""),
        (
            {"integrations": {"All": False}},
            Outcome.FILTERED,
            "the event's integrations object keeps it from Sample",
        ),
        (
            {"userId": None, "anonymousId": "a"},
            Outcome.INVALID,
            "400 Bad Request: Sample needs userId",
        ),
        # What is not meant for a destination is not its fault.
        ({"userId": "", "integrations": {"Sample": False}}, Outcome.FILTERED, "the event's"),
    ],
)
def test_who_may_come_in(
    bind: Bind, changes: dict[str, Any], outcome: Outcome | None, reason: str
) -> None:
    """An event passes unless its integrations object or what the partner requires is against it."""
    result = bind().admit(_track(**changes))
    assert (result.outcome if result else None) == outcome
    assert (result.reason if result else "").startswith(reason)


def test_the_key_of_the_integrations_object(bind: Bind) -> None:
    """The definition may call the destination by another name than its own."""

    def change(documents: Documents) -> None:
        documents["destination"]["events"]["integrationsKey"] = "Sample (Actions)"

    destination = bind(change)
    assert destination.admit(_track(integrations={"Sample": False})) is None
    refused = destination.admit(_track(integrations={"Sample (Actions)": False}))
    assert refused is not None
    assert refused.outcome is Outcome.FILTERED


def _three(documents: Documents) -> None:
    documents["destination"]["presets"] = [
        {"name": "One", "partnerAction": "count", "subscribe": 'type = "track"'},
        {"name": "Two", "partnerAction": "save", "subscribe": "userId != null"},
        {"name": "Three", "partnerAction": "count", "subscribe": 'type = "page"'},
    ]


@pytest.mark.parametrize(
    ("changes", "only", "expected"),
    [
        ({}, None, [("count: One", "delivery"), ("save", "delivery")]),
        ({}, "save", [("save", "delivery")]),
        ({}, "count: One", [("count: One", "delivery")]),
        ({"properties": {}}, None, [("count: One", "unmapped"), ("save", "delivery")]),
        (
            {"type": "page", "properties": None},
            None,
            [("save", "delivery"), ("count: Three", "unmapped")],
        ),
        ({"type": "screen"}, "count: One", [(None, "filtered")]),
        ({}, "sync", [(None, "filtered")]),
        ({"userId": None}, "save", [(None, "filtered")]),
    ],
)
def test_an_event_goes_through_each_subscription_that_matches(
    bind: Bind, changes: dict[str, Any], only: str | None, expected: list[tuple[str | None, str]]
) -> None:
    """One pair for each subscription that matches, in their order; exactly one if none does.

    Two subscriptions of one action are told apart, so that one can be fed back without the other.
    """
    event = _track(**changes)
    found = [
        (slug, what.outcome.value if isinstance(what, Result) else "delivery")
        for slug, what in bind(_three).deliveries(event, only=only)
    ]
    assert found == expected


def test_a_delivery_holds_all_that_is_needed(bind: Bind) -> None:
    """The event as it came, the payload, and the subscription that made it."""
    event = _track()
    ((slug, delivery),) = bind().deliveries(event)
    assert isinstance(delivery, Delivery)
    assert slug == "count"
    assert delivery.event is event
    assert delivery.payload == {"by": 1, "thing": "t"}
    assert delivery.subscription.name == "Counts"


def test_the_reason_of_no_subscription(bind: Bind) -> None:
    """It names the type of the event, so that the table of reasons tells what is left out."""
    ((_, end),) = bind().deliveries({"type": "alias", "userId": "u", "previousId": "p"})
    assert isinstance(end, Result)
    assert end.reason == "no subscription takes alias events"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda documents: documents["sync"]["perform"].update(generator="other"),
            "sync: no plugin has the generator 'other'; known are: sync",
        ),
        (
            lambda documents: documents["count"]["unmapped"].update(mapper="rules"),
            "count: no plugin has the mapper 'rules'; known are: none",
        ),
    ],
    ids=["generator", "mapper"],
)
def test_code_that_no_plugin_has(
    bind: Bind, change: Callable[[Documents], object], message: str
) -> None:
    """A definition that names code that is not there is refused before any event is read."""
    with pytest.raises(DefinitionError) as caught:
        bind(change)
    assert str(caught.value) == message


def _environments(documents: Documents) -> None:
    properties = documents["destination"]["settings"]["properties"]
    properties["apiKey"]["x-environments"] = {"test": "_test_", "live": "_live_"}


@pytest.mark.parametrize(
    ("key", "endpoint", "account"),
    [
        ("sk_test_0123456789", "http://a/", "sample http://a/ test"),
        ("sk_live_0123456789", "http://a/", "sample http://a/ live"),
        ("sk_0123456789", "http://a/", "sample http://a/"),
        ("sk_live_0123456789", "http://a/?key=sk_live_0123456789", "sample http://a/?key=*** live"),
    ],
)
def test_accounts_are_apart(bind: Bind, key: str, endpoint: str, account: str) -> None:
    """What is kept is kept for one endpoint and one environment, and its name holds no secret."""
    assert bind(_environments, apiKey=key, endpoint=endpoint).account == account
