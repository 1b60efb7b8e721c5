"""Answers to a batch that say no to some of its events: what cannot be told is no success."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.case_tables import each_value

DESTINATION: Mapping[str, Any] = {
    "name": "Many",
    "slug": "many",
    "description": "Takes many events in one request.",
    "transport": {
        "baseUrl": {"@path": "$.settings.endpoint"},
        "timeout": {"connect": 5, "read": 10, "total": 30},
        "concurrency": 1,
        "retry": {"backoff": {"base": 0.01, "cap": 0.01}},
    },
    "errorRules": [
        {
            "description": "Too much at once.",
            "when": {"code": "BUSY"},
            "class": "rate_limit",
            "retryable": True,
            "nothingApplied": True,
            "attempts": 1,
        }
    ],
    "presets": [{"name": "Many", "partnerAction": "many", "subscribe": 'type = "track"'}],
}
ACTION: Mapping[str, Any] = {
    "slug": "many",
    "title": "Many",
    "description": "Sends many.",
    "fields": {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {
                "title": "ID",
                "description": "The id.",
                "type": "string",
                "default": {"@path": "$.messageId"},
            },
            "group": {
                "title": "Group",
                "description": "An id that several events share.",
                "type": "string",
                "default": {"@path": "$.properties.group"},
            },
        },
    },
    "perform": {"request": "many"},
}
BY_INDEX = {
    "status": [200],
    "items": {"@path": "$.errors"},
    "index": {"@path": "$.index"},
    "message": {"@path": "$.why"},
}
BY_ID = {
    "status": [200, 207],
    "items": {"@path": "$.errors"},
    "id": {"item": {"@path": "$.id"}, "event": {"@path": "$.id"}},
    "message": {"@path": "$.why"},
}
BY_GROUP = {**BY_ID, "id": {"item": {"@path": "$.id"}, "event": {"@path": "$.group"}}}
BY_PLACE = {
    "status": [200, 207],
    "items": {"@path": "$.results"},
    "itemStatus": {"@path": "$.status"},
    "message": {"@path": "$.why"},
}
BY_CODE = {**BY_INDEX, "code": {"@path": "$.code"}}
BY_STATUS = {**BY_INDEX, "itemStatus": {"@path": "$.status"}}


def _folder(deliver: Any, failures: Mapping[str, Any], *, idempotent: bool) -> Any:
    request = {
        "description": "Sends many.",
        "idempotent": idempotent,
        "batch": {"size": 3, "failures": dict(failures)},
        "rest": {"method": "POST", "path": ["many"], "json": {"@path": "$.payload"}},
        "expect": {"type": "object", "properties": {"message": {"const": "success"}}},
    }
    destination = {**DESTINATION, "requests": {"many": request}}
    return deliver.write_definition(destination=destination, many=ACTION)


def _events(groups: Sequence[str] = ("a", "b", "c")) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "event": "E",
            "userId": f"u{number}",
            "messageId": f"m{number}",
            "properties": {"group": group},
        }
        for number, group in enumerate(groups)
    ]


def _once(body: Any, status: int = 200) -> Callable[[Any], tuple[int, Any]]:
    """Answer the first request with this, and every other with a success of all."""
    left = [(status, body)]
    return lambda _: left.pop() if left else (200, {"message": "success"})


NO = {"why": "it is bad"}
NAMED = {"m0": "delivered", "m1": "rejected", "m2": "delivered"}
READABLE: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "a number": (BY_INDEX, {"errors": [{**NO, "index": 1}]}),
    "digits": (BY_INDEX, {"errors": [{**NO, "index": "1"}]}),
    "digits with spaces": (BY_INDEX, {"errors": [{**NO, "index": " 1 "}]}),
    "a whole number with a point": (BY_INDEX, {"errors": [{**NO, "index": 1.0}]}),
    "one item alone": (BY_INDEX, {"errors": {**NO, "index": 1}}),
    "items by their place": (BY_INDEX, {"errors": {"1": NO}}),
    "texts by their place": (BY_INDEX, {"errors": {"1": "it is bad"}}),
    "an id": (BY_ID, {"errors": [{**NO, "id": "m1"}]}),
    "items by their id": (BY_ID, {"errors": {"m1": NO}}),
    "texts by their id": (BY_ID, {"errors": {"m1": "it is bad"}}),
    "a code that no rule reads": (BY_CODE, {"errors": [{**NO, "index": 1, "code": "ODD"}]}),
    "a status": (BY_STATUS, {"errors": [{**NO, "index": 1, "status": 422}]}),
}


@each_value
@pytest.mark.parametrize("case", READABLE)
def test_a_failed_item_that_can_be_placed(deliver: Any, way: Any, partner: Any, case: str) -> None:
    """Its event is rejected with its own reason, and the others are delivered."""
    failures, body = READABLE[case]
    partner.answer = lambda _: (200, {"message": "success", **body})
    folder = _folder(deliver, failures, idempotent=False)
    if way == "serve":  # whose batches are as large as what waits: here each is one event alone
        partner.answer = _told_of_one(body)
    done = deliver(way, folder, _events())
    assert done.outcomes == NAMED
    assert "it is bad" in done.reasons["m1"]


def _told_of_one(body: Any) -> Callable[[Any], tuple[int, Any]]:
    """Say no to m1 as ``body`` does, wherever in its batch it is."""

    def answer(request: Any) -> tuple[int, Any]:
        places = [item["id"] for item in request.json]
        if "m1" not in places:
            return 200, {"message": "success"}
        text = json.dumps(body).replace("1.0", f"{places.index('m1')}.0")
        for old, new in (
            ('"index": 1', f'"index": {places.index("m1")}'),
            ('"index": "1"', f'"index": "{places.index("m1")}"'),
            ('"index": " 1 "', f'"index": " {places.index("m1")} "'),
            ('{"1": ', f'{{"{places.index("m1")}": '),
        ):
            text = text.replace(old, new)
        return 200, {"message": "success", **json.loads(text)}

    return answer


UNREADABLE: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "outside of the batch": (BY_INDEX, [{**NO, "index": 7}]),
    "just outside": (BY_INDEX, [{**NO, "index": 3}]),
    "below 0": (BY_INDEX, [{**NO, "index": -1}]),
    "below 0, as digits": (BY_INDEX, [{**NO, "index": "-1"}]),
    "none": (BY_INDEX, [NO]),
    "null": (BY_INDEX, [{**NO, "index": None}]),
    "true": (BY_INDEX, [{**NO, "index": True}]),
    "a half": (BY_INDEX, [{**NO, "index": 1.5}]),
    "words": (BY_INDEX, [{**NO, "index": "the second"}]),
    "a list": (BY_INDEX, [{**NO, "index": [1]}]),
    "an empty item": (BY_INDEX, [{}]),
    "texts": (BY_INDEX, ["it is bad"]),
    "one text": (BY_INDEX, "it is bad"),
    "an object without a place": (BY_INDEX, {"first": "it is bad"}),
    "true alone": (BY_INDEX, True),
    "a count": (BY_INDEX, 1),
    "an unknown id": (BY_ID, [{**NO, "id": "m9"}]),
    "no id": (BY_ID, [NO]),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_failed_item_that_cannot_be_placed(deliver: Any, partner: Any, case: str) -> None:
    """It may be of any event of the batch: none of them is delivered, and none is sent again."""
    failures, errors = UNREADABLE[case]
    partner.answer = _once({"message": "success", "errors": errors})
    done = deliver("run", _folder(deliver, failures, idempotent=False), _events())
    assert set(done.outcomes.values()) <= {"unknown", "held"}
    assert len(done.outcomes) == 3
    assert len(partner.received) == 1
    assert all(
        "does not identify the failed events of the batch" in r for r in done.reasons.values()
    )


@each_value
@pytest.mark.parametrize("case", UNREADABLE)
def test_one_event_alone_is_the_one_that_failed(
    deliver: Any, way: Any, partner: Any, case: str
) -> None:
    """An item that names nobody can only be its own."""
    failures, errors = UNREADABLE[case]
    partner.answer = lambda _: (200, {"message": "success", "errors": errors})
    done = deliver(way, _folder(deliver, failures, idempotent=False), _events(["a"]))
    assert done.outcomes == {"m0": "rejected"}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_idempotent_batch_is_taken_apart(deliver: Any, partner: Any, case: str) -> None:
    """Sent again in halves, the partner says by itself which event it does not want."""
    failures, errors = UNREADABLE[case]

    def answer(request: Any) -> tuple[int, Any]:
        has_it = any(item["id"] == "m1" for item in request.json)
        return 200, {"message": "success", **({"errors": errors} if has_it else {})}

    partner.answer = answer
    done = deliver("run", _folder(deliver, failures, idempotent=True), _events())
    assert done.outcomes == NAMED
    sizes = [len(request.json) for request in partner.received]
    assert sizes == [3, 1, 2, 1, 1]


@pytest.mark.parametrize("idempotent", [False, True])
def test_what_is_named_is_rejected_beside_what_is_not(
    deliver: Any, partner: Any, *, idempotent: bool
) -> None:
    """One item that can be read, and one that cannot: the first is certain all the same."""
    errors = [{"index": "0", "why": "first"}, {"why": "somebody"}]
    partner.answer = _once({"message": "success", "errors": errors})
    done = deliver("run", _folder(deliver, BY_INDEX, idempotent=idempotent), _events())
    assert done.outcomes.pop("m0") == "rejected"
    expected = {"delivered"} if idempotent else {"unknown", "held"}
    assert set(done.outcomes.values()) <= expected
    assert len(partner.received) == (3 if idempotent else 1)


@pytest.mark.parametrize(
    "body", [{}, {"errors": []}, {"errors": None}, {"errors": {}}, {"errors": ""}]
)
def test_no_failed_item(deliver: Any, way: Any, partner: Any, body: dict[str, Any]) -> None:
    """An empty list is no failure."""
    partner.answer = lambda _: (200, {"message": "success", **body})
    done = deliver(way, _folder(deliver, BY_INDEX, idempotent=False), _events())
    assert set(done.outcomes.values()) == {"delivered"}


def test_events_that_share_an_id(deliver: Any, partner: Any) -> None:
    """Which of them failed is not known; of another id, it was none."""
    partner.answer = _once({"message": "success", "errors": [{**NO, "id": "a"}]})
    done = deliver("run", _folder(deliver, BY_GROUP, idempotent=False), _events(["a", "b", "a"]))
    assert done.outcomes["m1"] == "delivered"
    assert {done.outcomes["m0"], done.outcomes["m2"]} <= {"unknown", "held"}


@pytest.mark.parametrize(
    ("results", "idempotent", "outcomes"),
    [
        ([200, 201, "204"], False, ["delivered", "delivered", "delivered"]),
        ([200, 422, 200], False, ["delivered", "rejected", "delivered"]),
        ([200, "422", 200.0], True, ["delivered", "rejected", "delivered"]),
        ([200, 500, 200], False, ["delivered", "unknown", "delivered"]),
        ([200, 500, 200], True, ["delivered", "delivered", "delivered"]),
        ([200, 429, 200], False, ["delivered", "delivered", "delivered"]),
        ([200, None, 200], False, ["delivered", "unknown", "delivered"]),
        ([200, "bad", 200], False, ["delivered", "unknown", "delivered"]),
        ([200, 422], False, ["unknown", "unknown", "unknown"]),
        ([200, 200], False, ["unknown", "unknown", "unknown"]),
        ([200, 200, 200, 422], False, ["unknown", "unknown", "unknown"]),
        ([200, 200], True, ["delivered", "delivered", "delivered"]),
    ],
)
def test_a_list_of_one_item_for_each_event(
    deliver: Any, partner: Any, results: list[Any], outcomes: list[str], *, idempotent: bool
) -> None:
    """Each event has the status of the item in its place; a list of another length has none."""
    items = [{"status": status, "why": "it is bad"} for status in results]
    first = [(207, {"results": items})]

    def answer(request: Any) -> tuple[int, Any]:
        if first:
            return first.pop()
        return 207, {"results": [{"status": 200}] * len(request.json)}

    partner.answer = answer
    done = deliver("run", _folder(deliver, BY_PLACE, idempotent=idempotent), _events())
    found = ["unknown" if one == "held" else one for one in done.outcomes.values()]
    assert found == outcomes


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize(
    "body",
    [{}, {"results": []}, {"results": None}, {"results": {}}, {"results": ""}, [], "<html>", None],
)
def test_an_answer_without_the_list_of_all(
    deliver: Any, partner: Any, body: Any, *, idempotent: bool
) -> None:
    """Where each event has an item, none at all makes nobody a success, whatever is sent again."""
    partner.answer = lambda _: (207, body)
    done = deliver("run", _folder(deliver, BY_PLACE, idempotent=idempotent), _events())
    assert set(done.outcomes.values()) <= ({"ready"} if idempotent else {"unknown", "held"})
    assert len(done.outcomes) == 3
    assert all("items are missing" in reason for reason in done.reasons.values())


def test_a_code_that_a_rule_reads(deliver: Any, partner: Any) -> None:
    """The rule says what follows: here that the event is given up, as it was tried often enough."""
    partner.answer = lambda _: (
        200,
        {"message": "success", "errors": [{**NO, "index": 1, "code": "BUSY"}]},
    )
    done = deliver("run", _folder(deliver, BY_CODE, idempotent=False), _events())
    assert done.outcomes == {**NAMED, "m1": "dead"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": None}, "must have exactly one of: index | id | itemStatus"),
        ({"id": BY_ID["id"]}, "must have exactly one of: index | id | itemStatus"),
        ({"id": {"item": {"@path": "$.id"}}, "index": None}, "lacks 'event'"),
        ({"items": None}, "lacks 'items'"),
        ({"place": 1}, "is not a key here; known: status, items, index, id"),
    ],
)
def test_what_a_definition_cannot_say(
    deliver: Any, command: Any, change: Mapping[str, Any], message: str
) -> None:
    """Each is an issue with its place."""
    failures = {key: value for key, value in {**BY_INDEX, **change}.items() if value is not None}
    done = command("validate", _folder(deliver, failures, idempotent=False))
    assert done.code == 2
    assert message in done.out
    assert "/requests/many/batch/failures" in done.out
