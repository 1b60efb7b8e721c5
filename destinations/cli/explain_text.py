"""An explanation as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from destinations.cli.json_output import json_text
from destinations.cli.tables import Bold, Dim, say
from destinations.operations import shown_duration, shown_time
from destinations.outcome import Result
from destinations.runtime.explain import Explanation, PlannedRequest, SubscriptionExplanation
from destinations.secrets import Masker
from destinations.segment.javascript import UNDEFINED

__all__ = ["Line", "print_explanation", "request_lines"]

Line = tuple[int, *tuple[str, ...]]
"""How far a line is indented, and its parts."""


def print_explanation(explanation: Explanation, masker: Masker) -> None:
    """Print each subscription's steps in order; secrets are masked."""

    def show(indent: int, *parts: str) -> None:
        say(" " * indent, *(type(part)(masker.text(part)) for part in parts))

    if explanation.taken_out:
        show(0, Bold("taken out by filters"), f": {', '.join(explanation.taken_out)}")
    if explanation.blank_traits:
        show(0, Bold("blank traits, left out"), f": {', '.join(explanation.blank_traits)}")
    for followed in explanation.subscriptions:
        for line in _subscription(followed):
            show(*line)
    if explanation.result is not None:
        show(0, *_result(explanation.result))


def _subscription(followed: SubscriptionExplanation) -> Iterable[Line]:
    verdict = "matches" if followed.matches else "does not match"
    yield 0, Bold(followed.name), f" ({followed.action}): {verdict}"
    for clause in followed.clauses:
        mark = "held" if clause["held"] else "did not hold"
        yield 2, f"{clause['text']}  ", Dim(f"{mark}; found {_json(clause['value'])}")
    if not followed.matches:
        return
    yield 2, Bold("mapping")
    for step in followed.mapping:
        yield 4, f"{step['path']} {step['directive']}  = {_json(step['value'])}"
    if followed.changes:
        yield 2, Bold("empty values, unknown keys, coercions")
        for change in followed.changes:
            yield 4, f"{change['path']} {_change(change)}"
    if followed.payload is not None:
        yield 2, Bold("payload"), f" {_json(followed.payload)}"
    yield from _of_definition(followed)
    yield from _requests(followed)
    if followed.result is not None:
        yield 2, *_result(followed.result)
        yield from _errors(followed.result)


def _requests(followed: SubscriptionExplanation) -> Iterable[Line]:
    if any(planned.step for planned in followed.requests):
        yield 2, Bold("steps"), f" {_steps(followed)}"
    told: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for planned in followed.requests:
        yield from request_lines(planned)
        # After other answers, a step may end in other ways.
        if planned.outcomes and (planned.step, planned.outcomes) not in told:
            told.add((planned.step, planned.outcomes))
            yield from _outcomes(planned)


def _steps(followed: SubscriptionExplanation) -> str:
    """Return the names of the steps that may be made, and what follows from a lost answer."""
    names = ", ".join(dict.fromkeys(one.step for one in followed.requests if one.step))
    if followed.repeatable is None:
        return f"{names}; what must not be made twice is not made again after a lost answer"
    wait = shown_duration(followed.repeatable["after"])
    return f"{names}; repeatable: after a lost answer all are made again, {wait} later"


def _of_definition(followed: SubscriptionExplanation) -> Iterable[Line]:
    """Yield what the action's window and usage make of the event, if it has them."""
    if followed.window is not None:
        yield 2, Bold("window"), f" {_window(followed.window)}"
    if followed.usage is not None:
        yield 2, Bold("usage"), f" {_usage(followed.usage)}"


def _window(window: dict[str, Any]) -> str:
    """Return the time of an event and how far away it may be."""
    if window["time"] is None:
        return "the event has no readable time, so it is never too late"
    at = shown_time(window["time"])
    setting = f" (the setting {window['graceSetting']})" if "graceSetting" in window else ""
    limits = [
        f"at most {shown_duration(window[key])} {what}"
        for key, what in (("grace", f"old{setting}"), ("ahead", "in the future"))
        if window[key] is not None
    ]
    ends = {"hold": "held for an operator", "reject": "rejected"}[window["then"]]
    return f"the event is of {at}; it may be {' and '.join(limits)}, else it is {ends}"


def _usage(usage: dict[str, Any]) -> str:
    """Return what an event counts for, once it is delivered."""
    amount = "an amount that is no number" if usage["amount"] is None else usage["amount"]
    named = [
        f"no {what} that can be read" if not usage[what] else f"the {what} {_json(usage[what])}"
        for what in ("feature", "user")
    ]
    return f"counts {amount} of {named[0]} for {named[1]} at {shown_time(usage['at'] / 1000)}"


def _change(change: dict[str, Any]) -> str:
    match change["kind"]:
        case "empty":
            return f"removed: {_json(change['before'])} is empty"
        case "dropped":
            return f"dropped: no such field ({_json(change['before'])})"
    return f"coerced: {_json(change['before'])} became {_json(change['after'])}"


def _outcomes(planned: PlannedRequest) -> Iterable[Line]:
    """Yield what follows from each answer to a step, or to the first request of other code."""
    if planned.request is None or (planned.after and not planned.step):
        return
    yield 4, Dim("outcome by answer:")
    for answer, outcome in planned.outcomes:
        yield 6, Dim(f"{answer}: {outcome}")


def request_lines(planned: PlannedRequest) -> Iterable[Line]:
    """Yield the lines of a request with its method, URL, headers and body; they are not masked."""
    after = f", after the answers {', '.join(planned.after)}" if planned.after else ""
    if planned.name is None:
        yield 2, Bold("done"), f"{after}: {planned.note}"
        return
    step = f"step {planned.step}, " if planned.step else ""
    yield 2, Bold(f"{step}request {planned.name}"), after
    if planned.when:
        yield 4, f"when {planned.when}"
    if planned.request is None:
        yield 4, planned.note
        return
    yield 4, f"{planned.request['method']} {planned.request['url']}"
    for name, value in planned.request["headers"].items():
        yield 4, f"{name}: {value}"
    body = planned.request["body"]
    if isinstance(body, dict) and isinstance(body.get("query"), str):
        depth = 0
        for line in body["query"].splitlines():
            depth -= line.strip().startswith("}")
            yield 6 + 2 * depth, line.strip()
            depth += line.rstrip().endswith("{")
        yield 6, f"variables {_json(body.get('variables'))}"
    elif isinstance(body, str) and "\n" in body:  # such as NDJSON
        yield from ((6, line) for line in body.splitlines())
    elif body is not None:
        yield 6, _json(body)


def _result(result: Result) -> tuple[str, ...]:
    code = f" ({result.status} {result.code})" if result.status else ""
    return Bold(result.outcome.value), f"{code}: {result.reason}"


def _errors(result: Result) -> Iterable[Line]:
    """Yield all that is wrong with a payload, unless the reason says it."""
    if result.errors != (result.reason,):
        for error in result.errors:
            yield 4, error


def _json(value: Any) -> str:
    if value is UNDEFINED:
        return "undefined"
    return json_text(value, default=str)
