"""Find the issues in ``usage`` of an action: its requests only read, and its mappings find data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.checks.mappings import mapping_issues
from destinations.definition.document import Document
from destinations.definition.graphql_document import check_operation, parse_operation
from destinations.definition.mapping_places import (
    found_shape,
    shown_shape,
    usage_shape,
    where_shape,
)
from destinations.definition.setting_uses import names_read
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.roots import reads

__all__ = ["usage_issues"]

_PLACE: Final = "/usage"
_ASK: Final = "/usage/ask"

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)

_ASKED_BY: Final[Mapping[str, str]] = {
    "user": "every user has the same answer",
    "from": "the answer is that of another time",
    "to": "the answer is that of another time",
}
"""What the requests must read of ``usage``, each with what it means that none does."""


def usage_issues(document: Document, destination: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in ``usage`` of an action's file, given the data of ``destination.yaml``."""
    usage = document.data.get("usage")
    if usage is None:
        return
    fields = document.data["fields"]
    settings = destination["settings"]["properties"]
    secrets = [name for name, spec in settings.items() if spec.get("format") == "password"]
    for key, shape in (
        ("user", usage_shape(fields, destination)),
        ("feature", usage_shape(fields, destination)),
        ("amount", usage_shape(fields, destination)),
        ("at", usage_shape(fields, destination, with_event=True)),
    ):
        if key in usage:
            place = pointer("usage", key)
            yield from mapping_issues(document, place, usage[key], shape)
            for name in sorted(names_read(usage[key], secrets)):
                yield document.issue(place, f"must not read {name}, which is secret: it is shown")
    yield from _amount(document, usage)
    yield from _question(document, usage["ask"], destination)


def _amount(document: Document, usage: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield that an amount is of no number, which can be told before any event."""
    amount = usage.get("amount", 1)
    is_text = isinstance(amount, str) and not _NUMBER.fullmatch(amount.strip())
    if is_text or isinstance(amount, bool | None | list):
        yield document.issue(f"{_PLACE}/amount", "must be a number, or a mapping that gives one")


def _question(
    document: Document, ask: Mapping[str, Any], destination: Mapping[str, Any]
) -> Iterator[Issue]:
    requests = destination["requests"]
    steps: Sequence[Mapping[str, Any]] = ask.get("steps", ())
    named = [(_ASK, "request", ask)] if not steps else []
    named += [(_ASK + pointer("steps", at), "request", step) for at, step in enumerate(steps)]
    known = []
    for place, key, one in named:
        name = one[key]
        if name not in requests:
            yield document.issue(f"{place}/{key}", unknown_name("request", name, requests))
            continue
        known.append(requests[name])
        reason = _changes_something(name, requests[name])
        if reason:
            yield document.issue(f"{place}/{key}", reason)
    yield from _steps(document, steps, destination)
    shape = shown_shape([step["name"] for step in steps])
    for key in ("shown", "next"):
        if key in ask:
            yield from mapping_issues(document, f"{_ASK}/{key}", ask[key], shape)
    if len(known) == len(named):
        yield from _unread(document, ask, known)
    yield from _nothing(document, ask, known)


def _changes_something(name: str, request: Mapping[str, Any]) -> str:
    """Return why a request cannot ask; empty if it only reads."""
    if "pending" in request:
        return ""
    if not request["idempotent"]:
        return f"{name} must be idempotent, as it only asks what was counted"
    if request.get("readOnly") or request.get("rest", {}).get("method") == "GET":
        return ""
    if "graphql" in request:
        document = request["graphql"]["document"]
        broken = any(check_operation(document, variables=request["graphql"].get("variables", {})))
        if broken or parse_operation(document).kind == "query":  # what is broken is told there
            return ""
    return f"{name} must only read: make it a GET request, or say readOnly: true"


def _steps(
    document: Document, steps: Sequence[Mapping[str, Any]], destination: Mapping[str, Any]
) -> Iterator[Issue]:
    """Yield the issues in steps: names that come twice, and mappings that find nothing."""
    names = [step["name"] for step in steps]
    requests = destination["requests"]
    for at, step in enumerate(steps):
        place = _ASK + pointer("steps", at)
        first = names.index(step["name"])
        if first < at:
            message = f"step {first + 1} is called {step['name']!r} as well; give each its own name"
            yield document.issue(f"{place}/name", message)
        if "find" not in step:
            continue
        find, own = step["find"], f"{place}/find"
        for key in ("items", "next"):
            if key in find:
                yield from mapping_issues(document, f"{own}/{key}", find[key], found_shape())
        shape = where_shape(names[:at], destination)
        for member, value in find["where"].items():
            yield from mapping_issues(document, own + pointer("where", member), value, shape)
        asked = requests.get(step["request"])
        if "next" in find and asked is not None and not reads(_sent(asked), "page"):
            message = f"has no effect: no mapping of {step['request']} reads $.page"
            yield document.issue(f"{own}/next", message)
        if "next" not in find and asked is not None and reads(_sent(asked), "page"):
            message = f"needs next, as {step['request']} reads $.page: only one page is looked at"
            yield document.issue(own, message)


def _unread(
    document: Document, ask: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]
) -> Iterator[Issue]:
    """Yield what the requests do not ask by, so that all answers would be the same."""
    if any("pending" in one for one in requests):
        return
    last = "request" if "request" in ask else "steps"
    sent = [_sent(one) for one in requests]
    wheres = [step.get("find", {}).get("where") for step in ask.get("steps", ())]
    for key, means in _ASKED_BY.items():
        # Liquid may go through all of usage, or take it as a whole.
        named = ("to", "last") if key == "to" else (key,)
        if not (reads([sent, wheres], "usage") and reads([sent, wheres], *named)):
            message = f"no request reads $.usage.{key}, so {means}"
            yield document.issue(f"{_ASK}/{last}", message)
    if "next" in ask and "find" in ask.get("steps", [{}])[-1]:
        message = "has no effect: the last step looks for one item; use next of its find"
        yield document.issue(f"{_ASK}/next", message)
    elif "next" in ask and not reads(sent[-1], "page"):
        message = "has no effect: no mapping of the last request reads $.page"
        yield document.issue(f"{_ASK}/next", message)
    elif "next" not in ask and "find" not in ask.get("steps", [{}])[-1] and reads(sent[-1], "page"):
        message = "needs next, as the last request reads $.page: only one page would be added up"
        yield document.issue(_ASK, message)


def _sent(request: Mapping[str, Any]) -> list[object]:
    """Return what a request sends, as far as its mappings say it."""
    return [request.get("rest"), request.get("graphql", {}).get("variables")]


def _nothing(
    document: Document, ask: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]
) -> Iterator[Issue]:
    known = [one["name"] for request in requests for one in request.get("answers", ())]
    for index, answer in enumerate(ask.get("nothing", ())):
        if answer not in known:
            listed = ", ".join(known) or "none"
            message = f"its requests have no answer {answer!r}; they have: {listed}"
            message += did_you_mean(answer, known)
            yield document.issue(f"{_ASK}/nothing/{index}", message)
