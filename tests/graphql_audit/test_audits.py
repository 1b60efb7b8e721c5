"""The sandbox keeps the rules of GraphQL over HTTP that the audit of ``graphql-http`` checks.

The table has each audit by its id, with the request that it sends. ``tox -e graphql-audit`` runs
the audit itself, and fails if the ids here are not those of the audit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests

from kana_destination.sandbox import Sandbox

JSON: Final = "application/json"
GRAPHQL: Final = "application/graphql-response+json"
TYPENAME: Final = "{ __typename }"
TYPE: Final = "query Type($name: String!) { __type(name: $name) { name } }"
RUNNERS: Final = '{ __type(name: "Run\U0001f3c3Swim\U0001f3ca") { name } }'
COERCE: Final = "query CoerceFailure($id: ID!){ __typename }"
UNKNOWN: Final = "{ 8f31403dfe404bccbb0e835f2629c6a7 }"

NOT_HELD: Final = {
    "5A70": "Kana takes POST only; GET is optional in the specification",
    "D6D5": "Kana takes POST only; GET is optional in the specification",
    "6A70": "Kana takes POST only; GET is optional in the specification",
}

# ids of audits, body (an object, or text as it is), header Accept, expected status
POSTS: Final[list[tuple[str, object, str | None, int]]] = [
    ("22EB 34A2", {"query": TYPENAME}, GRAPHQL, 200),
    ("4655 13EE", {"query": TYPENAME}, JSON, 200),
    ("47DE", {"query": TYPENAME}, "*/*", 200),
    ("80D8 82A3 78D5 2C94 03D4", {"query": TYPENAME}, None, 200),
    ("A5BF", "", None, 400),
    ("423L", {"notquery": TYPENAME}, GRAPHQL, 400),
    ("LKJ0", {"query": {"obj": "ect"}}, None, 400),
    ("LKJ1", {"query": 0}, None, 400),
    ("LKJ2", {"query": False}, None, 400),
    ("LKJ3", {"query": ["array"]}, None, 400),
    ("6C00", {"query": TYPENAME, "operationName": {"obj": "ect"}}, None, 400),
    ("6C01", {"query": TYPENAME, "operationName": 0}, None, 400),
    ("6C02", {"query": TYPENAME, "operationName": False}, None, 400),
    ("6C03", {"query": TYPENAME, "operationName": ["array"]}, None, 400),
    ("8161", {"query": "query Query { __typename }", "operationName": "Query"}, GRAPHQL, 200),
    ("B8B3", {"query": "query Query { __typename }", "operationName": "Query"}, JSON, 200),
    ("94B0", {"query": TYPENAME, "variables": None}, GRAPHQL, 200),
    ("0220", {"query": TYPENAME, "variables": None}, JSON, 200),
    ("94B1", {"query": TYPENAME, "operationName": None}, GRAPHQL, 200),
    ("0221", {"query": TYPENAME, "operationName": None}, JSON, 200),
    ("94B2", {"query": TYPENAME, "extensions": None}, GRAPHQL, 200),
    ("0222", {"query": TYPENAME, "extensions": None}, JSON, 200),
    ("4760", {"query": TYPENAME, "variables": "string"}, None, 400),
    ("4761", {"query": TYPENAME, "variables": 0}, None, 400),
    ("4762", {"query": TYPENAME, "variables": False}, None, 400),
    ("4763", {"query": TYPENAME, "variables": ["array"]}, None, 400),
    ("2EA1", {"query": TYPE, "variables": {"name": "sometype"}}, GRAPHQL, 200),
    ("28B9", {"query": TYPE, "variables": {"name": "sometype"}}, JSON, 200),
    ("58B0", {"query": TYPENAME, "extensions": "string"}, None, 400),
    ("58B1", {"query": TYPENAME, "extensions": 0}, None, 400),
    ("58B2", {"query": TYPENAME, "extensions": False}, None, 400),
    ("58B3", {"query": TYPENAME, "extensions": ["array"]}, None, 400),
    ("428F", {"query": TYPENAME, "extensions": {"some": "value"}}, GRAPHQL, 200),
    ("1B7A", {"query": TYPENAME, "extensions": {"some": "value"}}, JSON, 200),
    ("B6DC BCF8", '{ "not a JSON', None, 400),
    ("8764 3E3A", {"qeury": TYPENAME}, None, 400),
    ("572B", {"query": "{"}, JSON, 200),
    ("FDE2", {"query": UNKNOWN}, JSON, 200),
    ("7B9B", {"query": COERCE, "variables": {"id": None}}, JSON, 200),
    ("865D 556A D586", {"query": "{"}, GRAPHQL, 400),
    ("51FE 74FF 5E5B", {"query": UNKNOWN}, GRAPHQL, 400),
    ("86EE", {"query": COERCE, "variables": {"id": None}}, GRAPHQL, 400),
]
# Of an answer with 200, these have errors in place of data.
FAILED: Final = {"572B", "FDE2", "7B9B"}
# Audits that are tested below, since they are no plain POST of JSON.
OTHERS: Final = {"BF61", "9ABE", "9C48"}

WRITING: Final = "mutation { __typename }"


def audit_ids() -> set[str]:
    """Return the ids of all audits."""
    plain = {each for ids, *_ in POSTS for each in ids.split()}
    return plain | OTHERS | NOT_HELD.keys()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with its example account."""
    with Sandbox() as running:
        yield running


def _post(sandbox: Sandbox, body: object, **headers: str | None) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    # The library's own Accept is left out where a header is None.
    return requests.post(
        sandbox.url,
        data=data.encode("utf-8"),
        headers={"Authorization": sandbox.api_key, "Accept": None, **sent},
        timeout=10,
    )


def _type_of(answer: requests.Response) -> str:
    return answer.headers["Content-Type"].partition(";")[0]


@pytest.mark.parametrize(("ids", "body", "accept", "status"), POSTS, ids=[row[0] for row in POSTS])
def test_audits_of_posts(
    sandbox: Sandbox, ids: str, body: object, accept: str | None, status: int
) -> None:
    """Status and media type are those of the specification, and a failure has no ``data``."""
    answer = _post(sandbox, body, Content_Type=JSON, Accept=accept)
    assert answer.status_code == status
    assert _type_of(answer) == (GRAPHQL if accept == GRAPHQL else JSON)
    is_failure = status != 200 or ids in FAILED
    assert set(answer.json()) == {"errors" if is_failure else "data"}


def test_utf_8_in_both_directions(sandbox: Sandbox) -> None:
    """BF61: a body in UTF-8 that says so is read."""
    answer = _post(sandbox, {"query": RUNNERS}, Content_Type=f"{JSON}; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {"data": {"__type": None}})


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 400),
        ("", 400),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/graphql", 415),
        (f"{JSON}; charset=latin-1", 415),
        (JSON, 200),
        ("Application/JSON;charset=UTF-8", 200),
    ],
)
def test_bodies_say_that_they_are_json(
    sandbox: Sandbox, content_type: str | None, status: int
) -> None:
    """9ABE: a body that is not said to be JSON in UTF-8 is refused, and the answer says so."""
    answer = _post(sandbox, {"query": TYPENAME}, Content_Type=content_type)
    assert answer.status_code == status
    if status != 200:
        assert JSON in answer.json()["errors"][0]["message"]


def test_no_mutation_by_get(sandbox: Sandbox) -> None:
    """9C48: GET runs nothing; the answer says that POST is right."""
    answer = requests.get(
        sandbox.url,
        params={"query": WRITING},
        headers={"Authorization": sandbox.api_key, "Accept": GRAPHQL},
        timeout=10,
    )
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{GRAPHQL};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL}; charset=utf-8, {JSON}; charset=utf-8; q=0.9", GRAPHQL),
        (f"{JSON};q=0.9, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL.upper()}", GRAPHQL),
        (f"{GRAPHQL}, */*;q=0.1", GRAPHQL),
        (f"{GRAPHQL};q=0", JSON),
        (f"{GRAPHQL};q=0, */*", JSON),
        (f"{JSON};q=0, */*", GRAPHQL),
        (f"{GRAPHQL};q=2", JSON),
        ("application/*", JSON),
        ("text/html", JSON),
        (";,;q=", JSON),
    ],
)
def test_the_media_type_that_is_asked_for(sandbox: Sandbox, accept: str, chosen: str) -> None:
    """The higher weight counts, then the order; without either it is JSON."""
    answer = _post(sandbox, {"query": TYPENAME}, Content_Type=JSON, Accept=accept)
    assert (answer.status_code, _type_of(answer)) == (200, chosen)


MISSING: Final = {"query": '{ user(id: "nobody") { id } }'}


@pytest.mark.parametrize(
    ("body", "headers", "fault", "statuses"),
    [
        ({"query": TYPENAME}, {"Authorization": "pub_test_x"}, None, (200, 401)),
        (MISSING, {}, None, (200, 200)),
        ({"query": TYPENAME}, {}, {"errors": {"*": {"message": "no"}}}, (200, 500)),
        (
            {"query": TYPENAME},
            {},
            {"errors": {"*": {"message": "no", "code": "BAD_USER_INPUT"}}},
            (200, 400),
        ),
        ({"query": TYPENAME}, {}, {"dataNull": True}, (200, 200)),
        ({"query": TYPENAME}, {}, {"status": 503}, (503, 503)),
    ],
    ids=["key", "a field", "the sandbox", "the caller", "no data", "a status"],
)
def test_statuses_of_errors(
    sandbox: Sandbox,
    body: object,
    headers: dict[str, str],
    fault: dict[str, Any] | None,
    statuses: tuple[int, int],
) -> None:
    """In JSON, errors have 200 as at Kana; in the other media type, those without ``data`` not."""
    found = []
    for accept in (JSON, GRAPHQL):
        if fault is not None:
            sandbox.faults.add(fault)
        answer = _post(sandbox, body, Content_Type=JSON, Accept=accept, **headers)
        found.append(answer.status_code)
    assert tuple(found) == statuses
