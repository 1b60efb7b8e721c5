"""What `explain` says of an answer is what the made faults of `test` end as."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from destinations.definition import ErrorCondition
from destinations.http import CompiledRequest, Failure, HttpResponse
from destinations.kit.testing.made_faults import FaultCase, fault_cases, play_fault
from destinations.kit.testing.subject import open_subject
from destinations.outcome import Outcome, State, Status
from destinations.runtime.destination import Delivery
from destinations.runtime.endings import (
    AGAIN,
    ASKED,
    HELD,
    PAUSES,
    REFUSED,
    RESENT,
    STOPS,
    THERE,
    Loss,
    endings_of_rule,
)
from destinations.runtime.explain import _outcomes, _requests
from tests.case_tables import of_shapes
from tests.shipped import SHIPPED

ENDS: dict[str, set[Status]] = {
    AGAIN: {State.READY, Outcome.DEAD},
    ASKED: {State.UNKNOWN},
    HELD: {State.HELD},
    PAUSES: {State.READY},
    REFUSED: {Outcome.REJECTED},
    RESENT: {State.READY},
    STOPS: {State.READY},
    THERE: {Outcome.FILTERED},
    "rejected": {Outcome.REJECTED},
}

ANSWERS = {"status", "answer", "network", "rule"}
"""The kinds of faults that are an answer, or none; those of time and of tokens are others."""


def _holds(when: ErrorCondition, status: int) -> bool:
    names = {status, f"{status // 100}xx"}
    return when.status is None or not names.isdisjoint(when.status)


def _of_rule(
    case: FaultCase, request: CompiledRequest, read: Failure, loss: Loss
) -> Iterator[tuple[str, str]]:
    """Yield the name and the end of an answer that a rule reads, the likeliest first."""
    found = re.fullmatch(r"(requests\..*\.)?errorRules\[(\d+)\]", read.rule)
    assert found is not None
    definition = case.stage.definition
    rules = request.definition.error_rules if found[1] else definition.error_rules
    tests_key = definition.authentication is not None
    for when, end in endings_of_rule(request, rules[int(found[2])], loss, tests_key=tests_key):
        if _holds(when, read.status):
            yield str(when), end


def _said(case: FaultCase) -> str | None:
    """Return what `explain` says of the fault; None if it says nothing of such an answer."""
    stage = case.stage
    request = stage.destination.requests[case.way.request]
    action = stage.destination.actions[stage.action.slug]
    loss = Loss.of(
        (one.definition for one in action.requests.values()),
        repeatable=stage.action.perform.repeatable,
    )
    outcomes = _outcomes(stage.destination, request, loss, is_last=True)
    said = dict(outcomes)
    reply = case.fault.reply
    if not isinstance(reply, HttpResponse):
        never_sent = reply in ("connectTimeout", "refused")
        return said["no connection" if never_sent else "sent, but no answer"]
    (read,) = request.read(reply, 1)
    if not isinstance(read, Failure) or read.status < 300:
        return None
    if read.rule:
        of_rule = next(_of_rule(case, request, read, loss))
        assert of_rule in outcomes
        return of_rule[1]
    for name, end in said.items():
        if re.fullmatch(r"status [\d, or]+", name) and str(read.status) in name:
            return end
    return said[f"another {read.status // 100}xx"]


@of_shapes
@pytest.mark.parametrize("slug", SHIPPED)
def test_both_say_the_same(slug: str) -> None:
    """Of every request that nothing came before, and every fault that lasts."""
    compared = 0
    for case in fault_cases(open_subject(slug)):
        if case.fault.kind not in ANSWERS or case.fault.times is not None or case.fault.later:
            continue
        if case.way.before or (said := _said(case)) is None:
            continue
        ends = ENDS.get(said, {State.READY})
        found = play_fault(case).ends
        assert set(found) <= ends, f"{case.name}: {said}"
        compared += 1
    assert compared


STEP_FAULTS = {
    "time-out after sending": "sent, but no answer",
    "connection lost after sending": "sent, but no answer",
    "no connection": "no connection",
    "time-out before sending": "no connection",
    "500": "another 5xx",
}


def _ends(said: str) -> set[Status]:
    """Return the states that an outcome of a step means."""
    if said.startswith("made again from the first step on"):
        return {State.READY, Outcome.DEAD}
    return ENDS.get(said.partition(", as ")[0], set())


STEPS: dict[str, Any] = {
    "as they are": lambda _: None,
    "repeatable": lambda documents: documents["sync"]["perform"].update(repeatable=True),
    "something after what must not be made twice": lambda documents: documents["sync"]["perform"][
        "steps"
    ].append({"name": "after", "request": "search", "when": {"create": "ok"}}),
    "idempotent": lambda documents: documents["destination"]["requests"]["add"].update(
        idempotent=True
    ),
    "that, repeatable": lambda documents: documents["sync"]["perform"].update(
        repeatable=True,
        steps=[
            *documents["sync"]["perform"]["steps"],
            {"name": "after", "request": "search", "when": {"create": "ok"}},
        ],
    ),
}


@pytest.mark.parametrize("change", STEPS.values(), ids=STEPS)
def test_both_say_the_same_of_steps(make_subject: Any, with_steps: Any, change: Any) -> None:
    """Of each step, wherever an event is by then: also after what must not be made twice."""

    def changed(documents: Any) -> None:
        with_steps(documents)
        change(documents)

    found: dict[str, dict[str, str]] = {}
    compared = set()
    for case in fault_cases(make_subject(changed)):
        if case.action != "sync" or case.fault.name not in STEP_FAULTS:
            continue
        if not found:
            found = _explained(case)
        said = found[case.way.step][STEP_FAULTS[case.fault.name]]
        ends = play_fault(case).ends
        assert set(ends) <= _ends(said), f"{case.name}: {said}"
        compared.add(case.way.step)
    assert compared == found.keys()
    assert len(compared) >= 3


def _explained(case: FaultCase) -> dict[str, dict[str, str]]:
    """Return what `explain` says of each step, by the answer."""
    (subscription,) = case.stage.destination.subscriptions
    payload = {"id": "c7", "email": "ada@example.com", "name": "Ada"}
    action = case.stage.destination.actions["sync"]
    delivery = Delivery(subscription, {}, payload)
    planned = _requests(case.stage.destination, action, delivery)
    return {one.step: dict(one.outcomes) for one in planned if one.step}
