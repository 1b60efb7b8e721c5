"""Running requests: one at a time, whatever goes wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kana_destination.sandbox import usage
from kana_destination.sandbox.execution import Account, GraphQLRequest
from kana_destination.sandbox.state import State


def account(moment: datetime = datetime(2022, 10, 20, tzinfo=UTC)) -> Account:
    """An empty account at a moment."""
    return Account(State(), "current", lambda: moment)


CREATE = GraphQLRequest("mutation($i: CreateUserInput!) { createUser(input: $i) { id } }", {})


def test_a_fault_of_the_sandbox_is_an_internal_error(client: Any, monkeypatch: Any) -> None:
    """It is told apart from what Kana refuses, and does not stop the server."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(usage, "used_in", fail)
    query = 'mutation { recordUsage(input: {userId: "ann", featureId: "calls"}) { recorded } }'
    answer = client(query)
    assert answer["data"] == {"recordUsage": None}
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    monkeypatch.undo()
    assert client.data(query) == {"recordUsage": {"recorded": True}}


@pytest.mark.parametrize(
    ("hour", "offset", "expected"),
    [(23, -2, "2022-10-21T01:00:00.000Z"), (1, 2, "2022-10-19T23:00:00.000Z")],
)
def test_the_clock_is_read_in_utc(hour: int, offset: int, expected: str) -> None:
    """A clock of another time zone gives the same days and moments."""
    zone = timezone(timedelta(hours=offset))
    run = account(datetime(2022, 10, 20, hour, tzinfo=zone))
    run.run(GraphQLRequest(CREATE.query, {"i": {"id": "a"}}))
    assert run.state.users["a"].to_json()["createdAt"] == expected


def test_variables_are_not_changed() -> None:
    """The request is the caller's."""
    given: dict[str, Any] = {"i": {"id": "a", "metadata": {"x": [1]}}}
    account().run(GraphQLRequest(CREATE.query, given))
    assert given == {"i": {"id": "a", "metadata": {"x": [1]}}}


def test_a_closed_account_runs_nothing() -> None:
    """The connection is to be ended: there is no answer to give."""
    closed = account()
    closed.close()
    with pytest.raises(ConnectionAbortedError, match="stopped"):
        closed.run(GraphQLRequest(CREATE.query, {"i": {"id": "a"}}))
    assert closed.state.users == {}
