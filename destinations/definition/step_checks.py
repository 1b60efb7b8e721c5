"""Find the issues in an action's steps: names, order, and what their conditions refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.document import Document
from destinations.errors import DefinitionError, Issue, did_you_mean
from destinations.segment.json_pointer import pointer
from destinations.segment.validation import compile_schema

__all__ = ["step_issues"]

_OK: Final = "ok"


def step_issues(document: Document, requests: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in the steps of an action's file, given the destination's requests."""
    perform = document.data["perform"]
    steps: Sequence[Mapping[str, Any]] = perform.get("steps", ())
    names = [step["name"] for step in steps]
    for index, step in enumerate(steps):
        place = pointer("perform", "steps", index)
        first = names.index(step["name"])
        if first < index:
            message = f"step {first + 1} is called {step['name']!r} as well; give each its own name"
            yield document.issue(place + "/name", message)
        for name, wanted in step.get("when", {}).items():
            refused = _issue_of_reference(steps, index, name)
            own = place + pointer("when", name)
            if refused is not None:
                yield document.issue(own, refused)
            elif isinstance(wanted, str):
                asked = requests.get(steps[names.index(name)]["request"], {})
                yield from _unknown_answer(document, own, name, asked, wanted)
            else:
                yield from _broken_schema(document, own, wanted)
    if "repeatable" in perform:
        yield from _repeatable(document, steps, requests)


def _issue_of_reference(steps: Sequence[Mapping[str, Any]], index: int, name: str) -> str | None:
    """Return why a condition of the step at ``index`` cannot refer to the step ``name``."""
    names = [step["name"] for step in steps]
    before, own = names[:index], names[index]
    if name in before:
        return None
    if name == own:
        return "a step cannot wait for its own answer"
    known = ", ".join(before) or "none, as it is the first one"
    if name not in names:
        return f"unknown step {name!r}; steps before {own}: {known}{did_you_mean(name, names)}"
    if _waits_for(steps, name, own):
        return f"{own} and {name} wait for each other: remove one of the two conditions"
    return f"the step {name} does not come before {own}; steps before it: {known}"


def _waits_for(steps: Sequence[Mapping[str, Any]], name: str, other: str) -> bool:
    """Return whether a step waits for another one, or for one that does."""
    waiting, seen = [name], set[str]()
    conditions = {step["name"]: list(step.get("when", {})) for step in steps}
    while waiting:
        one = waiting.pop()
        if one == other:
            return True
        if one not in seen:
            seen.add(one)
            waiting += conditions.get(one, ())
    return False


def _unknown_answer(
    document: Document, place: str, step: str, request: Mapping[str, Any], wanted: str
) -> Iterator[Issue]:
    known = [_OK, *(answer["name"] for answer in request.get("answers", ()))]
    if wanted not in known:
        message = f"the request of {step} has no answer {wanted!r}; it has: {', '.join(known)}"
        yield document.issue(place, message + did_you_mean(wanted, known))


def _broken_schema(document: Document, place: str, schema: Mapping[str, Any]) -> Iterator[Issue]:
    try:
        compile_schema(dict(schema))
    except DefinitionError as error:
        for issue in error.issues:
            yield document.issue(place + issue.path, issue.message)


def _repeatable(
    document: Document, steps: Sequence[Mapping[str, Any]], requests: Mapping[str, Any]
) -> Iterator[Issue]:
    place = "/perform/repeatable"
    if not steps:
        yield document.issue(place, "has no effect without steps: remove it")
    for step in steps:
        request = requests.get(step["request"], {})
        if "reconcile" in request or "settle" in request:
            message = (
                f"must not be set: {step['request']} adds to an amount, which would be added"
                " again; its reconcile settles a lost answer"
            )
            yield document.issue(place, message)
