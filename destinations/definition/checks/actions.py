"""Check the file of an action: its requests, fields and choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.answer_shapes import answer_shape
from destinations.definition.checks.mappings import mapping_issues
from destinations.definition.checks.schemas import json_schema_issues
from destinations.definition.checks.steps import SAY_READ_ONLY, only_reads, step_issues
from destinations.definition.checks.subscriptions import fql_issues
from destinations.definition.defaults import broken_field_defaults
from destinations.definition.document import Document
from destinations.definition.form_keywords import choice_fields, form_issues
from destinations.definition.mapping_places import EVENT, touches_shape
from destinations.definition.reads import Shape
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.roots import reads
from destinations.segment.validation import compile_schema

__all__ = ["check_action"]


def check_action(document: Document, requests: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in one action's file, given the destination's requests."""
    data = document.data
    perform = data["perform"]
    named = [("/perform/request", perform["request"])] if "request" in perform else []
    named += [
        (pointer("perform", "requests", index), name)
        for index, name in enumerate(perform.get("requests", ()))
    ]
    named += [
        (pointer("perform", "steps", index, "request"), step["request"])
        for index, step in enumerate(perform.get("steps", ()))
    ]
    for place, name in named:
        if name not in requests:
            yield document.issue(place, unknown_name("request", name, requests))
    yield from step_issues(document, requests)
    yield from _of_operator(document)
    if "defaultSubscription" in data:
        yield from fql_issues(document, "/defaultSubscription", data["defaultSubscription"])
    properties = data["fields"]["properties"]
    for key, spec in properties.items():
        place = pointer("fields", "properties", key)
        if "default" in spec:
            yield from mapping_issues(document, place + "/default", spec["default"], EVENT)
        yield from _own_keywords(document, place, spec)
    for index, key in enumerate(data["fields"].get("required", ())):
        if key not in properties:
            message = f"unknown field {key!r} to require" + did_you_mean(key, properties)
            yield document.issue(pointer("fields", "required", index), message)
    unmapped = data.get("unmapped")
    if unmapped is not None and unmapped["missing"] not in properties:
        message = unknown_name("field", unmapped["missing"], properties)
        yield document.issue("/unmapped/missing", message)
    for index, value in enumerate(data.get("touches", ())):
        yield from mapping_issues(
            document, pointer("touches", index), value, touches_shape(data["fields"])
        )
    yield from form_issues(document, "/fields", data["fields"], "field")
    yield from _choices(document, requests)
    yield from broken_field_defaults(document)


_OF_EVENTS = ("method", "defaultSubscription", "unmapped", "window", "usage")


def _of_operator(document: Document) -> Iterator[Issue]:
    """Yield the keys of an operator action that only make sense for events."""
    for key in _OF_EVENTS if document.data.get("operator") else ():
        if key in document.data:
            message = "must not be set: this action is only for operators, and no event reaches it"
            yield document.issue(pointer(key), message)


_OF_ANSWER: Final = frozenset({"items", "next"})


_CHOICES: Final = _OF_ANSWER | {"value", "label"}
"""The mappings of ``x-choices``: on an answer, or on an item of its list, which can be anything."""


def _call(request: Mapping[str, Any]) -> list[object]:
    """Return what a request sends, as far as its mappings say it."""
    return [request.get("rest"), request.get("graphql", {}).get("variables")]


def _choices(document: Document, requests: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in ``x-choices``: its request must exist, and only ask."""
    for path, _, choices in choice_fields(document.data["fields"]):
        place = f"/fields{path}/x-choices"
        name = choices.get("request")
        if name is not None and name not in requests:
            yield document.issue(f"{place}/request", unknown_name("request", name, requests))
        elif name is not None and not requests[name]["idempotent"]:
            message = f"{name} must be idempotent, as it only asks for choices"
            yield document.issue(f"{place}/request", message)
        elif name is not None and not only_reads(requests[name]):
            message = f"{name} must change nothing, as it only asks for choices: {SAY_READ_ONLY}"
            yield document.issue(f"{place}/request", message)
        elif name is not None and "next" in choices and not reads(_call(requests[name]), "page"):
            message = f"has no effect: no mapping of {name} reads $.page, so each page is the same"
            yield document.issue(f"{place}/next", message)
        answer = answer_shape(requests.get(name or "", {}))
        for key in _CHOICES & choices.keys():
            of_answer = Shape("root", {"answer": answer}) if key in _OF_ANSWER else None
            yield from mapping_issues(document, f"{place}/{key}", choices[key], of_answer)


def _own_keywords(document: Document, place: str, spec: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in a field's keywords that are not JSON Schema's."""
    for keyword, kind in (("x-wholeNumber", "integer"), ("x-identifier", "string")):
        if keyword in spec and spec["type"] != kind:
            message = f"is for fields of type {kind}, but this one's is {spec['type']}"
            yield document.issue(f"{place}/{keyword}", message)
    if "x-otherwise" in spec and not any(json_schema_issues(document, place, spec)):
        checked = compile_schema({"properties": {"value": spec}}).check({})
        for error in checked.errors:
            yield document.issue(f"{place}/x-otherwise", error.message)
