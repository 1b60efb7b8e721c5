"""The log of requests."""

from __future__ import annotations

import json
from typing import Any

from destinations.sandbox import log
from destinations.sandbox.log import RequestLog
from kana_destination.sandbox import GraphQLRecord


def test_every_request_is_logged_with_what_it_asked_for(client: Any) -> None:
    """Root fields with their aliases, the operation, the status, and whether a fault was used."""
    client.data('query Look { a: user(id: "ann") { id } users { id } }')
    client.sandbox.faults.add({"drop": "after"}, {"status": 503})
    for _ in range(2):
        try:
            client.post(json={"query": "{ users { id } }"})
        except OSError:
            continue
    client.post(data=b"{")
    first, *others = client.sandbox.requests
    assert (first.number, first.operation, first.status, first.fault) == (1, "Look", 200, False)
    assert first.roots == (("a", "user"), ("users", "users"))
    assert [(one.number, one.status, one.fault, one.roots) for one in others] == [
        (2, None, True, (("users", "users"),)),
        (3, 503, True, (("users", "users"),)),
        (4, 400, False, ()),
    ]
    assert others[0].digest == others[1].digest != first.digest
    assert others[2].digest == ""
    assert client.sandbox.requests.count == 4
    assert client.sandbox.requests.count_of("users") == 3
    assert client.sandbox.requests.count_of("createUser") == 0


def test_the_log_has_no_keys_and_no_variables(client: Any) -> None:
    """Neither a key nor what a user is called is in it."""
    client.post(
        json={"query": "query($id: String!) { user(id: $id) { id } }", "variables": {"id": "ann"}},
        headers={"Authorization": "prv_test_secretpart"},
    )
    text = json.dumps(client.sandbox.requests.to_json())
    assert "secretpart" not in text
    assert "ann" not in text
    assert "user" in text


def test_the_log_is_bounded_and_counts_go_on(monkeypatch: Any) -> None:
    """The last requests are kept."""
    monkeypatch.setattr(log, "_KEPT", 2)
    requests = RequestLog[GraphQLRecord]()
    for _ in range(3):
        number = requests.begin()
        requests.end(GraphQLRecord(number, "", None, (("a", "users"),), 200, fault=False))
    assert [one.number for one in requests] == [2, 3]
    assert (len(requests), requests.count, requests.count_of("users")) == (2, 3, 3)
