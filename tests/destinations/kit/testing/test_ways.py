from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.http import HttpResponse
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.ways import Made, Stage, Way, find_ways

MakeSubject = Callable[..., Subject]


def _stage(subject: Subject, action: str) -> Stage:
    return Stage(subject, subject.definition.actions[action])


def test_an_action_with_one_request_has_one_way(make_subject: MakeSubject) -> None:
    """A request that takes many events is made for two."""
    stage = _stage(make_subject(), "count")
    whole, ways = find_ways(stage)
    assert ways == [Way("count")]
    assert (whole.calls, whole.sent) == ((Made("count"),), (1,))
    assert [result.outcome.value for result in whole.results] == ["delivered"] * 2


def test_the_ways_of_a_generator(make_subject: MakeSubject) -> None:
    """What is only asked for after an answer that is no success is found as well."""
    whole, ways = find_ways(_stage(make_subject(), "sync"))
    assert whole.calls == (Made("find"),)
    assert whole.results[0].reason == "found Ada"
    assert ways == [Way("find"), Way("create", ("missing",), ("find",))]


def test_the_ways_of_steps(make_subject: MakeSubject, with_steps: Any) -> None:
    """For each step that chooses by a schema, there is an answer that fits it."""
    whole, ways = find_ways(_stage(make_subject(with_steps), "sync"))
    assert [one.name for one in whole.calls] == ["find", "change"]
    assert ways == [
        Way("search", step="find"),
        Way("alter", ("ok",), ("search",), "change"),
        Way("add", ("ok for create",), ("search",), "create"),
    ]


def test_a_condition_that_no_answer_can_be_made_for(
    make_subject: MakeSubject, with_steps: Any
) -> None:
    """The message names the step, and says what helps."""

    def change(documents: dict[str, Any]) -> None:
        with_steps(documents)
        when = {"find": {"type": "object", "properties": {"results": {"not": {}}}}}
        documents["sync"]["perform"]["steps"][1]["when"] = when

    with pytest.raises(UsageError, match=r"search .* the condition of the step create: .*examples"):
        find_ways(_stage(make_subject(change), "sync"))


def test_an_answer_can_be_replaced(make_subject: MakeSubject) -> None:
    """Place, name and attempt of each request are told; waits are counted, not waited.

    An event that is tried again goes its whole way again.
    """
    seen: list[tuple[int, str, int]] = []

    def reply(place: int, request: str, attempt: int) -> Any:
        seen.append((place, request, attempt))
        if attempt < 2:
            return HttpResponse(429, {"retry-after": "4"}, b"{}")
        return stage.scripted(("missing",))(place, request, attempt)

    stage = _stage(make_subject(), "sync")
    played = stage.play(reply)
    assert seen == [
        *[(0, "find", 1), (0, "find", 2), (1, "create", 1)],
        *[(0, "find", 3), (1, "create", 2)],
    ]
    assert (played.calls, played.sent) == ((Made("find"), Made("create")), (3, 2))
    assert list(played.waits) == [4.0, 4.0]
    assert played.results[0].outcome.value == "delivered"


def test_a_payload_that_cannot_be_made(make_subject: MakeSubject) -> None:
    """The message names action and field, and says what helps."""

    def change(documents: dict[str, Any]) -> None:
        documents["count"]["fields"]["properties"]["thing"]["pattern"] = r"^(a)\1$"

    with pytest.raises(UsageError, match=r"action count: /thing .*; give these fields `examples`"):
        _stage(make_subject(change), "count")
