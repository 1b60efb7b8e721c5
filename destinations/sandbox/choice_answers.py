"""Make an answer with choices for a request that fields ask, so that a sandbox has some."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from destinations.definition import DestinationDefinition, RequestDefinition
from destinations.definition.form_keywords import choice_fields
from destinations.sandbox.answers import put, success_value

__all__ = ["with_choices"]

_VALUES = ("choice-1", "choice-2")


def with_choices(
    definition: DestinationDefinition, request: RequestDefinition
) -> RequestDefinition:
    """Return the request, with two choices in its example for each field that asks it.

    Only plain paths can be followed back into an answer; an example of the definition stays.
    """
    if request.example is not None:
        return request
    value = success_value(request)
    answer = copy.deepcopy(value) if isinstance(value, dict) else {}
    body: dict[str, Any] = {"answer": answer}
    asked = [
        choices
        for action in definition.actions.values()
        for _, _, choices in choice_fields(action.fields)
        if choices.get("request") == request.name
    ]
    made = [_add(body, choices) for choices in asked]
    return replace(request, example=body["answer"]) if any(made) else request


def _add(body: dict[str, Any], choices: Mapping[str, Any]) -> bool:
    """Put a list of choices where ``items`` looks for it; return whether that can be told."""
    items = []
    for text in _VALUES:
        item: dict[str, Any] = {}
        if not put(item, choices["value"], text):
            return False
        if "label" in choices:
            put(item, choices["label"], text.replace("-", " ").capitalize())
        items.append(item)
    return put(body, choices["items"], items)
