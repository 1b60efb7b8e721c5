"""Events of ``type: delete``: what they reach, what that makes, and what they do not reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import check_folder
from destinations.definition.comparison import Bump, compare
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document
from destinations.errors import EventError
from destinations.outcome import Outcome
from destinations.runtime.destination import Code, Delivery, Destination
from destinations.runtime.explain import explain
from destinations.runtime.plan import Plan, plan
from destinations.runtime.sender import Sender
from destinations.segment.event import check_event

Bind = Callable[..., Destination]

DELETE = {"type": "delete", "userId": "u/1", "messageId": "m1"}


def _plan(destination: Destination, **more: Any) -> Plan:
    return plan(destination, json.dumps({**DELETE, **more}).encode())


def test_it_reaches_its_own_action_alone(bind: Bind, with_deletion: Any) -> None:
    """No subscription takes it, whatever its condition; the user's order is kept."""

    def change(documents: Any) -> None:
        with_deletion(documents)
        presets = documents["destination"]["presets"]
        presets[2]["subscribe"] = 'type != "track"'

    planned = _plan(bind(change), anonymousId="a1")
    (one,) = planned.deliveries
    assert one.key == ("onDelete", "onDelete")
    assert one.payload == {"userId": "u/1", "anonymousId": "a1"}
    assert (planned.user, planned.type) == ("u/1", "delete")


@pytest.mark.parametrize(
    ("more", "outcome", "reason"),
    [
        ({"integrations": {"All": False}}, Outcome.FILTERED, "the event's integrations object"),
        ({"userId": ""}, Outcome.INVALID, "has neither a userId nor an anonymousId"),
        ({"userId": "", "anonymousId": "a"}, Outcome.INVALID, "a delete call needs a userId"),
        ({"userId": 5}, Outcome.INVALID, "userId must be text"),
    ],
)
def test_what_is_not_sent(
    bind: Bind, with_deletion: Any, more: Any, outcome: Outcome, reason: str
) -> None:
    """The reason says what is missing."""
    (one,) = _plan(bind(with_deletion), **more).deliveries
    assert one.result is not None
    assert (one.result.outcome, one.result.reason.startswith(reason)) == (outcome, True)


def test_a_destination_that_cannot_be_asked(bind: Bind) -> None:
    """The event is none of its own: it is filtered, and no error."""
    planned = _plan(bind())
    (one,) = planned.deliveries
    assert one.result is not None
    assert one.result.outcome is Outcome.FILTERED
    assert one.result.reason == "Sample cannot be asked to delete users"
    assert planned.refusal is None


def test_what_every_other_event_needs(bind: Bind, with_deletion: Any) -> None:
    """A deletion needs no more than a userId, and filters for events do not drop it."""

    def change(documents: Any) -> None:
        with_deletion(documents)
        documents["destination"]["events"]["requires"] = ["userId", "anonymousId"]

    base = bind(change)
    data = {
        "subscriptions": [{"name": "A", "partnerAction": "count", "subscribe": 'type = "track"'}],
        "filters": [{"drop": 'userId = "u/1"'}],
    }
    definition = connect(base.definition, Connection.of(Document("c.yaml", data, {}), data))
    (one,) = _plan(Destination(definition, base.settings, Code())).deliveries
    assert one.payload == {"userId": "u/1"}


def test_it_is_sent(bind: Bind, with_deletion: Any, scripted: Any, contacts: Any) -> None:
    """The id is one segment of the path; who is not there is deleted, too."""
    destination = bind(with_deletion)
    (one,) = _plan(destination).deliveries
    assert one.subscription is not None
    transport = scripted([contacts])
    delivery = Delivery(one.subscription, DELETE, one.payload)
    (result,) = Sender(destination, transport).deliver([delivery])
    assert result.outcome is Outcome.DELIVERED
    assert transport.requests[0].url == "http://127.0.0.1:9/v1/contacts/u%2F1"
    assert contacts.deleted == ["u%2F1"]


def test_who_is_not_there(bind: Bind, with_deletion: Any, scripted: Any, replies: Any) -> None:
    """An error that counts as an answer says that nobody has to be deleted."""
    destination = bind(with_deletion)
    (one,) = _plan(destination).deliveries
    assert one.subscription is not None
    delivery = Delivery(one.subscription, DELETE, one.payload)
    (result,) = Sender(destination, scripted([replies.http(404)])).deliver([delivery])
    assert result.outcome is Outcome.DELIVERED


def test_it_is_explained(bind: Bind, with_deletion: Any) -> None:
    """The request is shown; other subscriptions are not asked."""
    explanation = explain(bind(with_deletion), json.dumps(DELETE).encode())
    (one,) = explanation.subscriptions
    assert (one.action, one.matches) == ("onDelete", True)
    (planned,) = one.requests
    assert planned.request is not None
    assert (planned.name, planned.request["method"]) == ("remove", "DELETE")
    assert dict(planned.outcomes)["status 404"] == "goes on: missing"
    nothing = explain(bind(), json.dumps(DELETE).encode())
    assert (nothing.subscriptions, nothing.result is None) == ([], False)


def test_it_is_no_call_of_the_spec() -> None:
    """It is read as an event, and FQL has no such type."""
    assert check_event(dict(DELETE)) == DELETE
    with pytest.raises(EventError, match="type must be one of alias, group"):
        check_event({**DELETE, "type": "remove"})


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (
            lambda documents: documents["destination"]["onDelete"].update(request="remvoe"),
            "/onDelete/request",
            "add, alter, remove; did you mean remove?",
        ),
        (
            lambda documents: documents["destination"]["requests"]["remove"]["rest"].update(
                path=[{"@path": "$.payload.user"}]
            ),
            "/requests/remove/rest/path/0/@path",
            "unknown field 'user'; known: userId, anonymousId",
        ),
        (
            lambda documents: documents.update(onDelete={**documents["save"], "slug": "onDelete"}),
            "/onDelete",
            "the action onDelete has the name of the one that this makes: rename it",
        ),
        (
            lambda documents: documents["destination"]["onDelete"].clear(),
            "/onDelete",
            "lacks 'request'",
        ),
    ],
)
def test_what_is_wrong(
    write_definition: Any, with_deletion: Any, change: Any, place: str, message: str
) -> None:
    """Each issue has its line."""

    def changed(documents: Any) -> None:
        with_deletion(documents)
        change(documents)

    issues = check_folder(write_definition(changed))
    found = [one for one in issues if one.path == place and message in one.message]
    assert found, list(map(str, issues))
    assert found[0].line is not None


def _removes(**rest: Any) -> Any:
    """Let the request that deletes have another method, path or body."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["remove"]["rest"] |= rest

    return change


USER = {"@path": "$.payload.userId"}
REST = "/requests/remove/rest"
DELETES: dict[str, tuple[Any, str, str]] = {
    "GET": (
        _removes(method="GET"),
        "/onDelete/request",
        "remove is a GET request, which deletes nobody: expected a request that changes something",
    ),
    "a POST that only reads": (
        lambda documents: (
            _removes(method="POST")(documents),
            documents["destination"]["requests"]["remove"].update(readOnly=True),
        ),
        "/onDelete/request",
        "remove is readOnly, which deletes nobody",
    ),
    "a query": (
        lambda documents: documents["destination"]["onDelete"].update(request="find"),
        "/onDelete/request",
        "find is a GraphQL query, which deletes nobody",
    ),
    "nobody": (
        _removes(path=["contacts"]),
        "/onDelete/request",
        "remove does not read who is deleted: expected $.payload.userId in it",
    ),
    "only an anonymous ID": (
        _removes(path=["contacts", {"@path": "$.payload.anonymousId"}]),
        "/onDelete/request",
        "remove does not read who is deleted",
    ),
    "only settings": (
        _removes(path=["contacts", {"@path": "$.settings.limit"}]),
        "/onDelete/request",
        "remove does not read who is deleted",
    ),
    **{
        f"the event's {key}": (
            _removes(json={"id": USER, "more": {"@path": f"$.event.{key}.email"}}, method="POST"),
            f"{REST}/json/more/@path",
            f"must not read event.{key} for onDelete: a deletion has only a userId",
        )
        for key in ("traits", "properties", "groupId", "event")
    },
    "traits in a template": (
        _removes(path=["contacts", {"@template": "{{payload.userId}}-{{event.traits.email}}"}]),
        f"{REST}/path/1/@template",
        "must not read event.traits",
    ),
    "a field of another action": (
        lambda documents: (
            documents["save"]["perform"].update(request="remove"),
            _removes(json={"id": USER, "page": {"@path": "$.payload.page"}}, method="POST")(
                documents
            ),
        ),
        f"{REST}/json/page/@path",
        "must not read payload.page for onDelete",
    ),
}
DELETES_FINE: dict[str, Any] = {
    "a path": lambda _: None,
    "a body": _removes(method="POST", path=["erase"], json={"id": USER}),
    "a template": _removes(path=[{"@template": "u-{{payload.userId}}"}]),
    "the event": _removes(path=[{"@path": "$.event.userId"}]),
    "the whole payload": _removes(method="POST", path=["erase"], json={"@path": "$.payload"}),
    "what a deletion has": _removes(
        method="POST",
        json={"id": {"@path": "$.event.messageId"}, "at": {"@path": "$.event.timestamp"}},
    ),
}


@pytest.mark.parametrize(("change", "place", "message"), DELETES.values(), ids=DELETES)
def test_what_deletes_nobody(
    write_definition: Any, with_deletion: Any, change: Any, place: str, message: str
) -> None:
    """A request that cannot delete the user of an event is refused, with its line."""
    test_what_is_wrong(write_definition, with_deletion, change, place, message)


@pytest.mark.parametrize("change", DELETES_FINE.values(), ids=DELETES_FINE)
def test_what_deletes_somebody(write_definition: Any, with_deletion: Any, change: Any) -> None:
    """Who is deleted may stand anywhere in the request."""

    def changed(documents: Any) -> None:
        with_deletion(documents)
        change(documents)

    assert check_folder(write_definition(changed)) == ()


def test_what_changes(load: Any, with_steps: Any, with_deletion: Any) -> None:
    """Without it, users are not deleted any more: somebody has to act."""

    def other(documents: Any) -> None:
        with_deletion(documents)
        requests = documents["destination"]["requests"]
        requests["erase"] = requests["remove"] | {"description": "Erases a contact."}
        documents["destination"]["onDelete"]["request"] = "erase"

    without, own, another = load(with_steps), load(with_deletion), load(other)
    found = [
        [(one.bump, one.path) for one in compare(*pair) if one.path.startswith("/onDelete")]
        for pair in ((without, own), (own, without), (own, another), (own, own))
    ]
    assert found == [
        [(Bump.MINOR, "/onDelete")],
        [(Bump.MAJOR, "/onDelete")],
        [(Bump.MINOR, "/onDelete/request")],
        [],
    ]
