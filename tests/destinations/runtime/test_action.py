"""From an event that matched to a payload, or to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.runtime.action import Subscription
from destinations.runtime.destination import Destination
from destinations.runtime.subscription_key import SubscriptionKey

Bind = Callable[..., Destination]


def _subscription(destination: Destination, name: str) -> Subscription:
    (found,) = (one for one in destination.subscriptions if one.name == name)
    return found


def _track(**properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Used", "userId": "u", "properties": properties}


@pytest.mark.parametrize(
    ("properties", "payload"),
    [
        ({"by": 1, "thing": "t"}, {"by": 1, "thing": "t"}),
        ({"by": "2", "thing": "t"}, {"by": 2, "thing": "t"}),
        ({"by": 1.0, "thing": 5}, {"by": 1, "thing": "5"}),
        ({"by": 1, "thing": "t", "more": True}, {"by": 1, "thing": "t"}),
    ],
    ids=str,
)
def test_payloads(bind: Bind, properties: dict[str, Any], payload: dict[str, Any]) -> None:
    """The mapping's values in the types of the fields, and nothing else."""
    assert _subscription(bind(), "Counts").payload(_track(**properties)) == payload


def test_connections_to_one_definition_share_its_schemas(bind: Bind) -> None:
    """They are compiled once, as a server may have many; what identifiers refuse is told apart."""
    one, other = bind(), bind(apiKey="another-key")
    assert one.definition is other.definition
    first, second = (_subscription(each, "Counts") for each in (one, other))
    assert first.schema is second.schema
    preset = next(each for each in one.definition.presets if each.name == "Counts")
    assert Subscription(preset, first.action, ("null",)).schema is not first.schema


@pytest.mark.parametrize(
    ("properties", "outcome", "errors"),
    [
        ({}, Outcome.UNMAPPED, ()),
        ({"by": 1}, Outcome.UNMAPPED, ()),
        ({"by": 1, "thing": ""}, Outcome.UNMAPPED, ()),
        ({"by": "no number", "thing": None}, Outcome.UNMAPPED, ()),
        ({"thing": "t"}, Outcome.INVALID, ("/by",)),
        ({"by": 1.5, "thing": "t"}, Outcome.INVALID, ("/by",)),
        ({"by": {}, "thing": ["a", "b"]}, Outcome.INVALID, ("/by", "/thing")),
    ],
    ids=str,
)
def test_ends(
    bind: Bind, properties: dict[str, Any], outcome: Outcome, errors: tuple[str, ...]
) -> None:
    """An event that names nothing is unmapped, whatever else is wrong; else all errors are told."""
    result = _subscription(bind(), "Counts").payload(_track(**properties))
    assert isinstance(result, Result)
    assert result.outcome is outcome
    if outcome is Outcome.UNMAPPED:
        assert result.reason == "The event names no thing."
        return
    assert (result.code, result.status) == ("PAYLOAD_VALIDATION_FAILED", 400)
    assert [error.split()[0] for error in result.errors] == list(errors)
    assert result.reason == "; ".join(result.errors)


@pytest.mark.parametrize(
    ("mapping", "paths"),
    [
        ({"@path": "$.properties.thing"}, "properties.thing"),
        ({"@path": "$.properties.feature"}, "properties.feature"),
        ({"@template": "{{properties.feature}}"}, "properties.feature"),
        (
            {
                "@if": {
                    "exists": {"@path": "$.properties.a"},
                    "then": {"@path": "$.properties.a"},
                    "else": {"@path": "$.context.b"},
                }
            },
            "properties.a or context.b",
        ),
        ("", "thing in the mapping"),
    ],
    ids=str,
)
def test_advice_names_the_paths_of_the_mapping(bind: Bind, mapping: object, paths: str) -> None:
    """The reason says what this mapping reads for the field, not what the default one does."""

    def change(documents: dict[str, Any]) -> None:
        documents["count"]["unmapped"]["reason"] = "It names no thing; set {paths}."
        documents["count"]["fields"]["properties"]["thing"]["default"] = mapping

    result = _subscription(bind(change), "Counts").payload(_track(other="t", by=1))
    assert isinstance(result, Result)
    assert (result.outcome, result.reason) == (
        Outcome.UNMAPPED,
        f"It names no thing; set {paths}.",
    )


@pytest.mark.parametrize("value", [None, "thing", 5, ["thing"], [], True], ids=repr)
def test_a_mapping_that_gives_no_object(bind: Bind, value: object) -> None:
    """A mapping that is one directive may give anything: what is no object ends the event."""

    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["presets"][0]["mapping"] = {"@path": "$.properties.whole"}

    result = _subscription(bind(change), "Counts").payload(_track(whole=value))
    assert isinstance(result, Result)
    assert result.outcome in {Outcome.INVALID, Outcome.UNMAPPED}
    whole = {"by": 1, "thing": "t"}
    assert _subscription(bind(change), "Counts").payload(_track(whole=whole)) == whole


def test_a_directive_that_fails(bind: Bind) -> None:
    """What a directive cannot take makes the event invalid, with the directive's place."""

    def change(documents: dict[str, Any]) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["thing"]["default"] = {"@path": {"@path": "$.properties.by"}}

    result = _subscription(bind(change), "Counts").payload(_track(thing="t", by=1))
    assert isinstance(result, Result)
    assert (result.outcome, result.code) == (Outcome.INVALID, "PAYLOAD_VALIDATION_FAILED")
    assert result.reason.startswith("the mapping failed: /thing")


def test_the_batch_size(bind: Bind) -> None:
    """A request's own; one where plugin code decides on the requests, or where none is given."""
    sizes = {one.name: one.action.batch_size for one in bind().subscriptions}
    assert sizes == {"Counts": 4, "Pages": 1, "People": 1}


def test_what_a_subscription_is_known_by(bind: Bind) -> None:
    """Its name and its action's slug."""
    keys = [one.key for one in bind().subscriptions]
    assert keys == [("Counts", "count"), ("Pages", "save"), ("People", "sync")]
    assert all(isinstance(key, SubscriptionKey) for key in keys)


def _payload_alone(documents: dict[str, Any]) -> None:
    requests = documents["destination"]["requests"]
    requests["save"]["rest"] = {
        "method": "PUT",
        "url": "http://127.0.0.1:9/pages",
        "json": {"@path": "$.payload"},
    }


def _address_of_event(documents: dict[str, Any]) -> None:
    _payload_alone(documents)
    documents["destination"]["requests"]["save"]["rest"]["url"] = {
        "@template": "http://127.0.0.1:9/{{payload.page}}"
    }


def _header_of_event(documents: dict[str, Any]) -> None:
    _payload_alone(documents)
    rest = documents["destination"]["requests"]["save"]["rest"]
    rest["headers"] = {"X-Type": {"@path": "$.event.type"}}


def _reconciled(documents: dict[str, Any]) -> None:
    documents["destination"]["requests"]["count"]["reconcile"] = {
        "ask": "find",
        "key": {"@path": "$.payload.thing"},
        "amount": {"@path": "$.payload.by"},
        "shown": {"@path": "$.answer.id"},
    }


@pytest.mark.parametrize(
    ("change", "slug", "idempotent", "reads_event", "takes_bytes"),
    [
        (None, "count", False, False, False),
        (None, "save", True, True, False),
        (None, "sync", False, False, False),
        (_payload_alone, "save", True, False, True),
        (_address_of_event, "save", True, False, False),
        (_header_of_event, "save", True, True, False),
    ],
)
def test_what_an_action_needs(
    bind: Bind, *, change: Any, slug: str, idempotent: bool, reads_event: bool, takes_bytes: bool
) -> None:
    """Its requests tell whether it may be repeated, and whether event or values are needed."""
    action = bind(change).actions[slug]
    assert action.slug == slug
    assert action.is_idempotent is idempotent
    assert action.reads_event is reads_event
    assert action.takes_payload_bytes is takes_bytes


@pytest.mark.parametrize(
    ("change", "slug", "repeats_users"),
    [(None, "count", False), (_reconciled, "count", True), (_reconciled, "save", False)],
)
def test_who_may_be_twice_in_a_request(
    bind: Bind, change: Any, slug: str, repeats_users: bool
) -> None:
    """Several events of a user may share a request that only adds, as its balance is known."""
    assert bind(change).actions[slug].repeats_users is repeats_users


def _with_mapper(documents: dict[str, Any]) -> None:
    documents["count"]["unmapped"]["mapper"] = "things"


def _rules(event: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """A customer's rules by the event's name."""
    by_name = {"Shouted": {"thing": "voice"}, "Sent": {"thing": "mail", "by": "x"}}
    found: dict[str, Any] | None = by_name.get(event["event"])
    if found is not None and payload.get("by") == 99:
        return {**found, "by": 100}
    return found


@pytest.mark.parametrize(
    ("event", "properties", "expected"),
    [
        ("Shouted", {"by": 3}, {"by": 3, "thing": "voice"}),
        ("Shouted", {"by": 3, "thing": "own"}, {"by": 3, "thing": "own"}),
        ("Shouted", {"by": 99}, {"by": 100, "thing": "voice"}),
        ("Whispered", {"by": 3}, Outcome.UNMAPPED),
        ("Shouted", {}, Outcome.INVALID),
        ("Sent", {"by": 1}, Outcome.INVALID),
    ],
)
def test_a_mapper_finds_what_is_missing(
    bind: Bind, event: str, properties: dict[str, Any], expected: object
) -> None:
    """Asked only for what the event does not name itself; what it adds is checked like the rest."""
    destination = bind(_with_mapper, mappers={"things": _rules})
    result = _subscription(destination, "Counts").payload(_track(**properties) | {"event": event})
    assert (result.outcome if isinstance(result, Result) else result) == expected


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_mapper_that_fails(bind: Bind, error: type[BaseException]) -> None:
    """A fault of a plugin ends its event alone: nothing was applied, and it can be fed back."""

    def broken(event: Mapping[str, Any], _: Mapping[str, Any]) -> None:
        raise error(f"for {event['event']}")

    destination = bind(_with_mapper, mappers={"things": broken})
    result = _subscription(destination, "Counts").payload(_track(by=1))
    assert isinstance(result, Result)
    assert (result.outcome, result.code, result.status) == (Outcome.DEAD, "UNKNOWN_ERROR", 500)
    assert result.reason == f"the mapper 'things' failed: {error.__name__}: for Used"
