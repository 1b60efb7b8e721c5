"""Show the steps of one event, as ``explain`` has them: filters, mapping, payload and requests.

It reads the JSON of an explanation, which is masked, so that other pages can show any of those.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.pages import Column

__all__ = ["Ended", "Part", "Steps", "SubscriptionSteps", "steps_of"]

_LONGEST: Final = 16_384
"""The characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Part:
    """One step: rows of a table, or text as it is sent."""

    title: str
    note: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """An outcome, with what it says."""

    outcome: str
    text: str
    errors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionSteps:
    """The steps for one subscription."""

    name: str
    action: str
    matches: bool
    parts: Sequence[Part]
    result: Ended | None

    @property
    def verdict(self) -> str:
        """Whether it takes the event, in words."""
        return "takes the event" if self.matches else "does not take the event"


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of an event; ``result`` is its end, if it ends before any subscription."""

    before: Sequence[str]
    subscriptions: Sequence[SubscriptionSteps]
    result: Ended | None

    @property
    def delivers(self) -> bool:
        """Whether anything would be sent."""
        return any(
            part.title.startswith(("Request", "Step"))
            for one in self.subscriptions
            for part in one.parts
        )


def steps_of(explanation: Mapping[str, Any], subscription: str | None = None) -> Steps:
    """Return the steps of an explanation; only those for one subscription, if it is given."""
    before = []
    if explanation["taken_out"]:
        before.append(f"Taken out by filters: {', '.join(explanation['taken_out'])}")
    if explanation["blank_traits"]:
        before.append(f"Blank traits, left out: {', '.join(explanation['blank_traits'])}")
    found = [
        _subscription(one)
        for one in explanation["subscriptions"]
        if subscription in {None, one["name"]}
    ]
    found.sort(key=lambda one: not one.matches)
    return Steps(before, found, _ended(explanation["result"]))


def _subscription(one: Mapping[str, Any]) -> SubscriptionSteps:
    return SubscriptionSteps(
        one["name"], one["action"], one["matches"], tuple(_parts(one)), _ended(one["result"])
    )


def _parts(one: Mapping[str, Any]) -> Iterator[Part]:
    clauses = [
        (clause["text"], "held" if clause["held"] else "did not hold", _shown(clause["value"]))
        for clause in one["clauses"]
    ]
    columns = [Column("condition", "long"), Column("verdict"), Column("found", "long")]
    yield Part("Filter", one["subscribe"] if not clauses else "", columns, clauses)
    if not one["matches"]:
        return
    mapping = [
        (step["path"] or "(all)", step["directive"], _shown(step["value"]))
        for step in one["mapping"]
    ]
    if mapping:
        columns = [Column("field", "long"), Column("directive"), Column("value", "long")]
        yield Part("Mapping", "", columns, mapping)
    changes = [(change["path"], _change(change)) for change in one["changes"]]
    if changes:
        columns = [Column("field", "long"), Column("change", "long")]
        yield Part("Checks", "empty values, unknown fields, coercions", columns, changes)
    if one["payload"] is not None:
        yield Part("Payload", code=_pretty(one["payload"]))
    told: list[object] = []
    for planned in one["requests"]:
        yield _request(planned)
        # After other answers, a step may end in other ways.
        is_known = (said := [planned.get("step"), planned["outcomes"]]) in told
        is_later = planned["after"] and not planned.get("step")
        if planned["request"] is None or not planned["outcomes"] or is_known or is_later:
            continue
        told.append(said)
        columns = [Column("answer", "long"), Column("outcome", "long")]
        outcomes = [tuple(pair) for pair in planned["outcomes"]]
        title = f"Answers to step {planned['step']}" if planned.get("step") else "Answers"
        yield Part(title, "what follows from each", columns, outcomes, folded=True)


def _request(planned: Mapping[str, Any]) -> Part:
    note = f"after the answers {', '.join(planned['after'])}" if planned["after"] else ""
    if planned["name"] is None:
        return Part("Done", note, code=planned["note"])
    if planned.get("when"):
        note = f"{note}; when {planned['when']}" if note else f"when {planned['when']}"
    title = f"Request {planned['name']}"
    if planned.get("step"):  # a server of an earlier version has none
        title = f"Step {planned['step']}: request {planned['name']}"
    request = planned["request"]
    if request is None:
        return Part(title, note, code=planned["note"])
    lines = [f"{request['method']} {request['url']}"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    body = request["body"]
    if isinstance(body, dict) and isinstance(body.get("query"), str):
        lines += ["", *_indented(body["query"]), "", f"variables {_pretty(body.get('variables'))}"]
    elif body is not None:
        lines += ["", body if isinstance(body, str) else _pretty(body)]
    return Part(title, note, code=_cut("\n".join(lines)))


def _indented(query: str) -> Iterator[str]:
    """Yield the lines of a GraphQL document, indented by its braces."""
    depth = 0
    for line in map(str.strip, query.splitlines()):
        depth -= line.startswith("}")
        yield "  " * max(depth, 0) + line
        depth += line.endswith("{")


def _change(change: Mapping[str, Any]) -> str:
    before = _shown(change["before"])
    match change["kind"]:
        case "empty":
            return f"removed: {before} is empty"
        case "dropped":
            return f"dropped: no such field ({before})"
    return f"coerced: {before} became {_shown(change['after'])}"


def _ended(result: Mapping[str, Any] | None) -> Ended | None:
    if result is None:
        return None
    code = f"{result['status']} {result['code']}: " if result["status"] else ""
    return Ended(str(result["outcome"]), f"{code}{result['reason']}", tuple(result["errors"]))


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _pretty(value: Any) -> str:
    return _cut(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… ({len(text) - _LONGEST:,} more characters)"
