"""Fault rules: which requests they are for, and what a client sees."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError
from destinations.sandbox.faults import FaultRule, Faults, Match, RequestFacts

ADD = """mutation Record($i: CreateUsageEventInput!) {
  r0: recordUsage(input: $i) { recorded }  r1: recordUsage(input: $i) { recorded }
}"""
ONE = {"userId": "ann", "featureId": "calls", "delta": 1}
BOTH = {"data": {"r0": {"recorded": True}, "r1": {"recorded": True}}}


def used(client: Any) -> int:
    """What ann has used of calls: 7 by the seed, and one more for each alias that was run."""
    amount: int = client.sandbox.snapshot()["usage"]["ann"]["calls"]
    return amount


FACTS = RequestFacts(
    3, "query Look { r0: user(id: $u) { id } }", b'{"variables":{"u":"ann"}}', "Look",
    (("r0", "user"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"nth": 3}, True),
        ({"nth": 2}, False),
        ({"match": "user(id"}, True),
        ({"match": '"u":"ann"'}, True),
        ({"match": "createUser"}, False),
        ({"match": {"operation": "Look"}}, True),
        ({"match": {"operation": "Loo"}}, False),
        ({"match": {"rootField": "user"}}, True),
        ({"match": {"rootField": "users"}}, False),
        ({"match": {"alias": "r0"}}, True),
        ({"match": {"alias": "r1"}}, False),
        ({"match": {"text": "id"}}, True),
        ({"match": {"operation": "Look", "alias": "r1"}}, False),
        ({"nth": 3, "match": {"operation": "Look", "rootField": "user", "alias": "r0"}}, True),
        ({"nth": 4, "match": {"operation": "Look"}}, False),
    ],
)
def test_rules_choose_requests(rule: dict[str, Any], fits: bool) -> None:
    """All that a rule names must hold of the request."""
    assert FaultRule.from_json({"status": 500, **rule}).fits(FACTS) is fits


@pytest.mark.parametrize(
    ("times", "served"),
    [({}, [1]), ({"times": 2}, [1, 1]), ({"times": None}, [1, 1, 1, 1])],
)
def test_rules_are_spent(times: dict[str, Any], served: list[int]) -> None:
    """Once unless they say otherwise, in the order in which they were added."""
    faults = Faults()
    faults.add({"status": 500, **times}, FaultRule(status=503, times=None))
    taken = [faults.take(FACTS) for _ in range(4)]
    first = [rule for rule in taken if rule is not None and rule.status == 500]
    assert len(first) == len(served)
    assert None not in taken
    faults.clear()
    assert faults.take(FACTS) is None


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        ({}, "/0", "at least one of status"),
        ({"nth": 1}, "/0", "at least one of status"),
        ({"nth": 0, "status": 500}, "/0/nth", "minimum"),
        ({"status": "500"}, "/0/status", "must be integer"),
        ({"status": 99}, "/0/status", "minimum"),
        ({"staus": 500, "delay": 1}, "/0", "staus"),
        ({"drop": "during"}, "/0/drop", "one of before, after"),
        ({"drip": {"bytes": 1}}, "/0/drip", "interval"),
        ({"errors": {"r0": {"name": "x"}}}, "/0/errors/r0", "name"),
        ({"match": {}, "cut": 1}, "/0/match", "forms"),
        ([], "/0", "must be object"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(client: Any, rule: Any, path: str,
                                                  message: str) -> None:  # fmt: skip
    """In process as an error, over HTTP as 400; and none of the rules is added."""
    with pytest.raises(DefinitionError) as caught:
        Faults().add_json([rule])
    assert caught.value.issues[0].path == path
    assert message in str(caught.value)
    answer = client.at("POST", "/faults", json=[{"status": 500}, rule])
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]
    assert len(client.sandbox.faults) == 0


def test_a_request_has_no_name(client: Any) -> None:
    """A rule that names one would never apply: its operations have names, which anyone chooses."""
    rule = {"match": {"request": "recordUsage"}, "status": 500}
    answer = client.at("POST", "/faults", json=[rule])
    assert answer.status_code == 400
    assert "/0/match/request: unknown request" in answer.json()["errors"][0]["message"]
    assert len(client.sandbox.faults) == 0


def test_rules_are_set_over_http(client: Any) -> None:
    """POST adds to the rules, DELETE forgets them; both need the key."""
    rules = [{"status": 500}, {"nth": 9, "dataNull": True}]
    assert client.at("POST", "/faults", json=rules).json() == {"added": 2, "rules": 2}
    assert client.at("POST", "/faults", json=rules[:1]).json() == {"added": 1, "rules": 3}
    assert client.at("DELETE", "/faults", headers={}).status_code == 401
    assert client.at("POST", "/faults", data=b"{").status_code == 400
    assert len(client.sandbox.faults) == 3
    assert client.at("DELETE", "/faults").json() == {"rules": 0}
    assert client(ADD, i=ONE) == BOTH


@pytest.mark.parametrize(
    ("rule", "status", "body", "headers", "applied"),
    [
        ({"status": 503}, 503, '{"message":"Service Unavailable"}', {}, 0),
        ({"status": 429, "retryAfter": 2}, 429, None, {"Retry-After": "2"}, 0),
        ({"status": 429, "retryAfter": "soon"}, 429, None, {"Retry-After": "soon"}, 0),
        ({"status": 599}, 599, '{"message":"HTTP 599"}', {}, 0),
        ({"status": 502, "body": "<html>"}, 502, "<html>", {"Content-Type": "text/html"}, 0),
        ({"status": 502, "apply": True}, 502, None, {}, 2),
        ({"body": "<html>"}, 200, "<html>", {"Content-Type": "text/html"}, 0),
        ({"body": "", "apply": True}, 200, "", {}, 2),
        ({"body": '{"data": 5}'}, 200, '{"data": 5}', {"Content-Type": "application/json"}, 0),
    ],
)
def test_http_errors(
    client: Any, rule: dict[str, Any], status: int, body: str | None, headers: dict[str, str],
    applied: int,
) -> None:  # fmt: skip
    """The answer is scripted; the request is run only if the rule says so."""
    client.sandbox.faults.add(rule)
    answer = client.post(json={"query": ADD, "variables": {"i": ONE}})
    assert answer.status_code == status
    assert body in (None, answer.text)
    for name, value in headers.items():
        assert answer.headers[name].startswith(value)
    assert used(client) == 7 + applied
    assert client(ADD, i=ONE) == BOTH


@pytest.mark.parametrize(
    ("rule", "applied"),
    [
        ({"drop": "before"}, 0),
        ({"drop": "after"}, 2),
        ({"drop": "after", "apply": False}, 0),
        ({"cut": 0}, 2),
        ({"cut": 10}, 2),
        ({"cut": 10, "drip": {"bytes": 4, "interval": 0}}, 2),
    ],
)
def test_lost_answers(client: Any, rule: dict[str, Any], applied: int) -> None:
    """The client gets no whole answer, whether the mutation was applied or not."""
    client.sandbox.faults.add({"match": {"operation": "Record"}, **rule})
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client(ADD, i=ONE)
    assert used(client) == 7 + applied


def _ask(client: Any, times: int) -> None:
    for _ in range(times):
        client.data("{ features { id } }")


@pytest.mark.parametrize("others", [0, 1, 3])
def test_a_request_that_arrives_late(client: Any, others: int) -> None:
    """The client gets no answer, and the request is run after so many others, once."""
    client.sandbox.faults.add({"late": others})
    with pytest.raises(requests.ConnectionError):
        client(ADD, i=ONE)
    _ask(client, others)
    assert used(client) == 7
    _ask(client, 1)
    assert used(client) == 9
    _ask(client, 5)
    assert (used(client), client.sandbox.arrive()) == (9, 0)


def test_a_request_that_arrives_again(client: Any) -> None:
    """The client has its answer, and the request is run again, at once and later."""
    client.sandbox.faults.add({"again": [2, 0]})
    assert client(ADD, i=ONE) == BOTH
    assert used(client) == 11
    _ask(client, 2)
    assert used(client) == 11
    _ask(client, 1)
    assert used(client) == 13


def test_what_is_held_back_can_be_let_arrive(client: Any) -> None:
    """A test need not make requests for it."""
    client.sandbox.faults.add({"late": 100}, {"again": [200], "drop": "after"})
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client(ADD, i=ONE)
    assert used(client) == 9
    assert client.sandbox.arrive() == 2
    assert used(client) == 13


# Mutations by what they do.
MUTATIONS = {
    "name": 'updateUser(id: "ann", input: {id: "ann", name: "A"}) { id }',
    "rename": 'updateUser(id: "ann", input: {id: "ann~left-over"}) { id }',
    "nobody": 'updateUser(id: "nobody", input: {id: "nobody"}) { id }',
    "add": 'recordUsage(input: {userId: "ann", featureId: "calls"}) { recorded }',
    "add to nobody": 'recordUsage(input: {userId: "nobody", featureId: "calls"}) { recorded }',
}


@pytest.mark.parametrize(
    ("document", "fails", "name", "amount"),
    [
        (["name", "add"], None, "A", 8),
        (["nobody", "add"], "e0", "Ann", 7),
        (["add", "nobody"], "e1", "Ann", 8),
        (["add", "nobody", "name"], "e1", "Ann", 8),
        (["nobody", "nobody", "name"], "e0", "Ann", 7),
        (["rename", "name", "add"], "e1", "Ann", 7),
        (["add to nobody", "name", "add"], "e0", "A", 8),
    ],
    ids=str,
)
def test_mutations_of_one_document(
    client: Any, document: list[str], fails: str | None, name: str, amount: int
) -> None:
    """They run in order, up to the first that fails where null is not allowed."""
    fields = [f"e{index}: {MUTATIONS[one]}" for index, one in enumerate(document)]
    answer = client(f"mutation {{ {' '.join(fields)} }}")
    errors = answer.get("errors", [])
    assert [error["path"] for error in errors] == ([] if fails is None else [[fails]])
    assert [error["extensions"]["exception"]["name"] for error in errors] == (
        [] if fails is None else ["UserNotFoundError"]
    )
    stops = fails is not None and document[int(fails[1:])] != "add to nobody"
    assert (answer["data"] is None) is stops
    snapshot = client.sandbox.snapshot()
    assert snapshot["users"][0]["name"] == name
    assert next(iter(snapshot["usage"].values()))["calls"] == amount


def test_cut_beyond_the_end_cuts_nothing(client: Any) -> None:
    """A whole answer is a whole answer."""
    client.sandbox.faults.add({"cut": 100_000})
    assert client(ADD, i=ONE) == BOTH


def test_drips_make_a_whole_answer(client: Any) -> None:
    """A slow answer is complete for a client that waits for it."""
    client.sandbox.faults.add({"drip": {"bytes": 7, "interval": 0.001}})
    assert client(ADD, i=ONE) == BOTH


@pytest.mark.parametrize(("wait", "applied"), [("delay", 2), ("hold", 0)])
def test_waits_come_after_or_before_the_request_is_run(
    client: Any, wait: str, applied: int
) -> None:
    """With ``delay`` it is applied when the client gives up, with ``hold`` it is not yet."""
    client.sandbox.faults.add({wait: 30})
    with pytest.raises(requests.Timeout):
        client.session.post(
            client.sandbox.url,
            json={"query": ADD, "variables": {"i": ONE}},
            headers={"Authorization": client.sandbox.api_key},
            timeout=0.3,
        )
    assert used(client) == 7 + applied


def test_errors_for_aliases(client: Any) -> None:
    """Such an alias is not run; the others are, and the error has the scripted names."""
    client.sandbox.faults.add(
        {"errors": {"r1": {"message": "no", "code": "LATER", "exception": "NetworkError"}}}
    )
    answer = client(ADD, i=ONE)
    assert answer["data"] == {"r0": {"recorded": True}, "r1": None}
    (error,) = answer["errors"]
    assert {key: error[key] for key in ("message", "path", "extensions")} == {
        "message": "no",
        "path": ["r1"],
        "extensions": {"code": "LATER", "exception": {"name": "NetworkError", "message": "no"}},
    }
    assert used(client) == 8


def test_error_for_a_non_null_alias_stops_what_follows(client: Any) -> None:
    """Injected errors obey the schema: data is null, and later mutations are not run."""
    client.sandbox.faults.add({"match": "createUser", "errors": {"b": {}}})
    answer = client(
        """mutation { a: createUser(input: {id: "a"}) { id }
                      b: createUser(input: {id: "b"}) { id }
                      c: createUser(input: {id: "c"}) { id } }"""
    )
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert [user["id"] for user in client.sandbox.snapshot()["users"]][3:] == ["a"]


def test_error_for_the_whole_request(client: Any) -> None:
    """``*`` fails the request before anything is run: there is no data and no path."""
    client.sandbox.faults.add(
        {"errors": {"*": {"message": "busy", "code": "X", "exception": "NetworkError"}}}
    )
    assert client(ADD, i=ONE) == {
        "errors": [
            {
                "message": "busy",
                "extensions": {
                    "code": "X",
                    "exception": {"name": "NetworkError", "message": "busy"},
                },
            }
        ]
    }
    assert used(client) == 7


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ({"omitAlias": "r0"}, {"data": {"r1": {"recorded": True}}}),
        ({"omitAlias": ["r0", "r1", "other"]}, {"data": {}}),
        ({"dataNull": True}, {"data": None}),
    ],
)
def test_answers_that_hide_what_was_done(
    client: Any, rule: dict[str, Any], answer: dict[str, Any]
) -> None:
    """The mutations are applied, and the answer does not show it."""
    client.sandbox.faults.add(rule)
    assert client(ADD, i=ONE) == answer
    assert used(client) == 9


def test_nth_counts_every_graphql_request(client: Any) -> None:
    """Requests that are refused count too; other paths do not."""
    client.sandbox.faults.add({"nth": 3, "status": 500})
    assert client.post(data=b"{").status_code == 400
    assert client.post(json={"query": "{"}, headers={}).status_code == 200
    assert client.at("GET", "/requests").status_code == 200
    assert client.post(json={"query": "{ users { id } }"}).status_code == 500
    assert client.post(json={"query": "{ users { id } }"}).status_code == 200


def test_rules_apply_to_refused_requests(client: Any) -> None:
    """A gateway's error comes before any look at the key or the body."""
    client.sandbox.faults.add({"status": 502}, {"status": 502})
    assert client.post(data=b"{").status_code == 502
    assert client.post(json={"query": "{ users { id } }"}, headers={}).status_code == 502


def test_json_and_object_form_are_the_same() -> None:
    """Every key of the JSON form has its place in the rule."""
    rule = FaultRule.from_json(
        json.loads(
            """{"nth": 2, "match": {"alias": "r0", "text": "t"}, "times": 3, "status": 503,
                "retryAfter": 1, "body": "b", "apply": true, "hold": 1, "delay": 2, "cut": 4,
                "omitAlias": "r0", "dataNull": true, "late": 5, "again": [0, 6]}"""
        )
    )
    assert rule == FaultRule(
        nth=2, match=Match(alias="r0", text="t"), times=3, status=503, retry_after="1", body="b",
        apply=True, hold=1, delay=2, cut=4, omit_alias=("r0",), data_null=True, late=5,
        again=(0, 6),
    )  # fmt: skip
