"""HTTP: methods, paths, keys, bodies, connections."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

QUERY = {"query": "{ features { id } }"}
FEATURES = {"data": {"features": [{"id": "calls"}, {"id": "days"}, {"id": "sso"}]}}


@pytest.mark.parametrize(
    "header",
    ["prv_test_" + "x" * 32, "Bearer prv_test_abc", "bearer   prv_test_abc "],
)
def test_any_test_key_is_accepted(client: Any, header: str) -> None:
    """Every key that starts with prv_test_, alone or after Bearer."""
    answer = client.post(json=QUERY, headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (200, FEATURES)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no key: expected the Admin API key"),
        ({"Authorization": ""}, "no key: expected the Admin API key"),
        ({"Authorization": "Bearer "}, "no key: expected the Admin API key"),
        ({"Authorization": "pub_test_secretpart"}, "client API"),
        ({"Authorization": "Bearer pub_live_secretpart"}, "client API"),
        ({"Authorization": "prv_live_secretpart"}, "prv_test_"),
        ({"Authorization": "secretpart"}, "prv_test_"),
        ({"Authorization": "Basic secretpart"}, "prv_test_"),
    ],
)
def test_other_keys_are_unauthenticated(client: Any, headers: dict[str, str], reason: str) -> None:
    """HTTP 200 with a message that starts with Unauthenticated, and that never has the key."""
    answer = client.post(json=QUERY, headers=headers)
    assert answer.status_code == 200
    assert set(answer.json()) == {"errors"}
    (error,) = answer.json()["errors"]
    assert error["message"].startswith("Unauthenticated")
    assert reason in error["message"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert error["extensions"]["exception"]["name"] == "AuthenticationError"
    assert "secretpart" not in answer.text


def test_keys_of_the_seed_are_the_only_ones(connect: Any, seed: dict[str, Any]) -> None:
    """With ``apiKeys`` other test keys are refused, and the first is the one that is shown."""
    client = connect(seed={**seed, "apiKeys": ["prv_live_first", "prv_test_second"]})
    assert client.sandbox.api_key == "prv_live_first"
    for key, accepted in [
        ("prv_live_first", True),
        ("Bearer prv_test_second", True),
        ("prv_test_other", False),
        ("prv_live_firs", False),
    ]:
        answer = client.post(json=QUERY, headers={"Authorization": key}).json()
        assert ("data" in answer) is accepted, key


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"query { users { id } }", "not JSON"),
        (b'{"query": NaN}', "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"query": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "query"),
        (b'{"query": 5}', "query"),
        (b'{"query": "{ users { id } }", "operationName": 5}', "operationName"),
        (b'{"query": "{ users { id } }", "extensions": "x"}', "extensions"),
        (b'{"query": "{ users { id } }", "variables": [1]}', "variables"),
        (b'{"query": "{ users { id } }", "variables": "{"}', "variables"),
        (b'{"query": "{ users { id } }", "variables": "[1]"}', "variables"),
    ],
)
def test_bodies_that_are_no_requests_are_bad_requests(
    client: Any, body: bytes, reason: str
) -> None:
    """400 with a message in JSON; the connection can be used further."""
    answer = client.post(data=body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert reason in answer.json()["errors"][0]["message"]
    assert client.post(json=QUERY).json() == FEATURES


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_post_is_allowed(client: Any, method: str) -> None:
    """Any other method is 405 and says which one is right."""
    answer = client.at(method, "/graphql")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        assert "POST" in answer.json()["errors"][0]["message"]


def test_unknown_paths_are_not_found(client: Any) -> None:
    """404 with the paths that there are."""
    answer = client.at("POST", "/")
    assert answer.status_code == 404
    assert "/graphql" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "variables",
    [{"id": "ann"}, '{"id": "ann"}', ' {"id": "ann"} '],
)
def test_variables_are_an_object_or_text_that_holds_one(client: Any, variables: object) -> None:
    """Both forms of Kana's documentation work."""
    query = "query($id: String!) { user(id: $id) { name } }"
    answer = client.post(json={"query": query, "variables": variables})
    assert answer.json() == {"data": {"user": {"name": "Ann"}}}


@pytest.mark.parametrize("variables", [None, "", "null", {}, "{}"])
def test_variables_may_be_absent(client: Any, variables: object) -> None:
    """Nothing at all stands for no variables."""
    assert client.post(json={**QUERY, "variables": variables}).json() == FEATURES


ADD = "mutation($i: CreateUsageEventInput!) { a: recordUsage(input: $i) { recorded } }"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ a: " * 30_000}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ users }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ user(id: 5) { id } }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ user { id } }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "fragment F on User { id }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { features { id } } query B { users { id } }"}, "BAD_USER_INPUT"),
        ({"query": "query A { features { id } }", "operationName": "B"}, "BAD_USER_INPUT"),
        ({"query": ADD}, "BAD_USER_INPUT"),
        ({"query": ADD, "variables": {"i": None}}, "BAD_USER_INPUT"),
        ({"query": ADD, "variables": {"i": {"userId": "ann"}}}, "BAD_USER_INPUT"),
        (
            {"query": ADD, "variables": {"i": {"userId": 5, "featureId": "calls"}}},
            "BAD_USER_INPUT",
        ),
        *(
            (
                {
                    "query": ADD,
                    "variables": {"i": {"userId": "ann", "featureId": "calls", "delta": delta}},
                },
                "BAD_USER_INPUT",
            )
            for delta in (2**31, -(2**31) - 1, 1.5, "1", True)
        ),
        (
            {
                "query": ADD,
                "variables": {"i": {"userId": "ann", "featureId": "calls", "extra": 1}},
            },
            "BAD_USER_INPUT",
        ),
    ],
)
def test_faults_of_a_document_are_errors_without_data(
    client: Any, request_: dict[str, Any], code: str
) -> None:
    """HTTP 200, a code, no ``data`` key, and nothing is run."""
    before = client.sandbox.snapshot()
    answer = client.post(json=request_)
    assert answer.status_code == 200
    assert set(answer.json()) == {"errors"}
    for error in answer.json()["errors"]:
        assert error["extensions"]["code"] == code
        assert error["extensions"]["exception"] == {"name": "Error", "message": error["message"]}
    assert client.sandbox.snapshot() == before


def test_operation_name_chooses(client: Any) -> None:
    """Of several operations the one that is named is run."""
    query = 'query A { features { id } } query B { user(id: "ann") { id } }'
    answer = client.post(json={"query": query, "operationName": "B"})
    assert answer.json() == {"data": {"user": {"id": "ann"}}}
    assert [record.operation for record in client.sandbox.requests] == ["B"]


def test_text_survives_the_way_there_and_back(client: Any) -> None:
    """Any text that JSON can hold is kept as it is."""
    name = 'Zoë \U0001f600 "quoted" \\ \x00 \u2028'
    query = "mutation($i: CreateUserInput!) { createUser(input: $i) { id name } }"
    assert client.data(query, i={"id": name, "name": name})["createUser"] == {
        "id": name,
        "name": name,
    }


def _connection(client: Any) -> http.client.HTTPConnection:
    parts = urlsplit(client.sandbox.url)
    assert parts.hostname
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def test_a_connection_serves_many_requests(client: Any) -> None:
    """The connection is kept alive, also after an error, until the client wants it closed."""
    connection = _connection(client)
    headers = {"Authorization": client.sandbox.api_key, "Content-Type": "application/json"}
    try:
        connection.connect()
        used = connection.sock
        for body, status in [("{}", 400), (json.dumps(QUERY), 200), (json.dumps(QUERY), 200)]:
            connection.request("POST", "/graphql", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert connection.sock is used
        connection.request("POST", "/graphql", "{}", {**headers, "Connection": "close"})
        answer = connection.getresponse()
        assert answer.getheader("Connection") == "close"
        answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: many", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 99999999999", 413),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_lengths_that_cannot_be_read_are_refused(client: Any, head: str, status: int) -> None:
    """The answer says why, and the connection is closed, since its place in it is unknown."""
    with socket.create_connection(("127.0.0.1", urlsplit(client.sandbox.url).port), 10) as raw:
        raw.sendall(f"POST /graphql HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        received = b""
        while piece := raw.recv(65536):
            received += piece
    first, _, rest = received.partition(b"\r\n")
    assert int(first.split()[1]) == status
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["errors"][0]["message"]


def test_snapshot_and_requests_can_be_read_over_http(client: Any) -> None:
    """Other processes see what the object shows; a wrong key gets 401 and nothing else."""
    client.data("query Q { a: users { id } features { id } }")
    assert client.at("GET", "/snapshot").json() == client.sandbox.snapshot()
    assert client.at("GET", "/requests").json() == client.sandbox.requests.to_json()
    for path in ("/snapshot", "/requests"):
        refused = client.at("GET", path, headers={"Authorization": "prv_wrong"})
        assert refused.status_code == 401
        assert set(refused.json()) == {"errors"}
        assert client.at("POST", path).headers["Allow"] == "GET"


def test_it_listens_on_this_machine_only(client: Any) -> None:
    """The address is that of the loopback interface."""
    assert client.sandbox.url.startswith("http://127.0.0.1:")


def test_a_request_that_ends_too_soon_is_not_run(client: Any) -> None:
    """A client that goes away while it sends has sent nothing."""
    body = json.dumps({"query": 'mutation { createUser(input: {id: "new"}) { id } }'})
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {client.sandbox.api_key}\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(client.sandbox.url).port), 10) as raw:
        raw.sendall(f"{head}Content-Length: {len(body) + 1}\r\n\r\n{body}".encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(65536) == b""
    assert client.sandbox.requests.count == 0
    assert len(client.sandbox.snapshot()["users"]) == 3
