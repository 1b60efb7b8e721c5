"""Find the issues in an action's steps: names, order, and what their conditions refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.graphql_document import operation_kind
from destinations.errors import DefinitionError, Issue, did_you_mean
from destinations.segment.json_pointer import pointer
from destinations.segment.validation import compile_schema

__all__ = ["SAY_READ_ONLY", "only_reads", "step_issues"]

SAY_READ_ONLY: Final = "use GET, or say readOnly: true if it only reads"
"""What makes a request one that only reads."""

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
    if len(set(names)) == len(names):
        yield from _dead_ends(document, steps, requests)
    if "repeatable" in perform:
        yield from _repeatable(document, steps, requests)
    if "otherwise" in perform and not steps:
        yield document.issue("/perform/otherwise", "has no effect without steps: remove it")


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


def _dead_ends(
    document: Document, steps: Sequence[Mapping[str, Any]], requests: Mapping[str, Any]
) -> Iterator[Issue]:
    """Yield the answers after which an event ends without a request that changes something.

    Nothing would be sent of it. ``otherwise`` says that this is meant, but never for an answer of
    whatever form: that may be an error in the clothes of a success.
    """
    if any(step["request"] not in requests for step in steps):
        return
    seen: set[str] = set()
    for ends in _ways(steps, requests):
        name, answer = list(ends.items())[-1]
        place = pointer("perform", "steps", [step["name"] for step in steps].index(name))
        asked = _asked(steps, name)
        left_out = " or ".join(
            step["name"] for step in steps if isinstance(step.get("when", {}).get(name), Mapping)
        )
        if answer == _OTHER:
            message = (
                f"{asked} has no expect, so its answer may not fit {left_out}, and the event would"
                f" go nowhere: give {asked} an expect that only these answers fit"
            )
        elif "otherwise" in document.data["perform"]:
            continue
        else:
            shown = answer if isinstance(answer, str) else "one that fits no other step"
            message = (
                f"an event ends here if the answer is {shown}, and nothing is changed: add a step"
                f" for it, or say otherwise: filtered"
            )
        if place + message not in seen:
            seen.add(place + message)
            yield document.issue(place, message)


_OTHER: Final = " other"
"""A success that fits no schema by which later steps choose."""

_MOST_WAYS: Final = 2000


def _ways(
    steps: Sequence[Mapping[str, Any]], requests: Mapping[str, Any]
) -> Iterator[Mapping[str, object]]:
    """Yield the answers, by step, of each way that ends with steps left out and nothing changed.

    An answer is a name, or the schema that a success fits. Of very many ways some are left out: at
    run time no such event is delivered in any case.
    """
    waiting: list[tuple[int, dict[str, object]]] = [(0, {})]
    for _ in range(_MOST_WAYS):
        if not waiting:
            return
        at, answers = waiting.pop()
        if at == len(steps):
            if 0 < len(answers) < len(steps):
                yield answers
            continue
        step = steps[at]
        if not all(_holds(answers, *one) for one in step.get("when", {}).items()):
            waiting.append((at + 1, answers))
            continue
        request = requests[step["request"]]
        if only_reads(request):
            name = step["name"]
            waiting += [(at + 1, {**answers, name: one}) for one in _answers(steps, name, request)]


def _answers(
    steps: Sequence[Mapping[str, Any]], name: str, request: Mapping[str, Any]
) -> Iterator[object]:
    """Yield the answers to a step that make a difference to later ones."""
    yield from (answer["name"] for answer in request.get("answers", ()))
    schemas = [step["when"][name] for step in steps if name in step.get("when", {})]
    schemas = [one for one in schemas if isinstance(one, Mapping)]
    yield from schemas
    if not schemas:
        yield _OK
    elif not request.get("expect"):
        yield _OTHER


def _holds(answers: Mapping[str, object], name: str, wanted: object) -> bool:
    if name not in answers:
        return False
    answer = answers[name]
    is_success = answer == _OTHER or not isinstance(answer, str)
    return answer == wanted or (wanted == _OK and is_success)


def _asked(steps: Sequence[Mapping[str, Any]], name: str) -> str:
    asked: str = next(step["request"] for step in steps if step["name"] == name)
    return asked


def only_reads(request: Mapping[str, Any]) -> bool:
    """Return whether a request changes nothing at the partner, by its definition."""
    if "pending" in request or request.get("readOnly"):
        return True
    if "graphql" in request:
        return operation_kind(request["graphql"]["document"]) == "query"
    return bool(request["rest"]["method"] == "GET")


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
