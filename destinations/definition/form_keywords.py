"""Check the keywords that forms read: labels, conditions on other fields, choices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.document import Document
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.required_when import KEYWORD

__all__ = ["choice_fields", "form_issues", "rule_text"]

_DEPENDS_ON: Final = "x-dependsOn"


def form_issues(
    document: Document, place: str, schema: Mapping[str, Any], kind: str
) -> Iterator[Issue]:
    """Yield the issues of the fields of an object at ``place``; ``kind`` is field or setting."""
    root = schema["properties"]
    for key, spec in root.items():
        own = place + pointer("properties", key)
        for path, inner, siblings in _nested(spec, root):
            yield from _labels(document, own + path, inner)
            yield from _conditions(document, own + path, inner, root, siblings, kind)
        if KEYWORD in spec and key in schema.get("required", ()):
            message = f"has no effect: the {kind} {key!r} is always required"
            yield document.issue(f"{own}/{KEYWORD}", message)
        named = [one.get("field") for one in spec.get(_DEPENDS_ON, {}).get("conditions", ())]
        if key in named:
            at = pointer(_DEPENDS_ON, "conditions", named.index(key), "field")
            yield document.issue(own + at, f"is the {kind} itself: expected another one")


def choice_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (path, dotted name, ``x-choices``) of each field whose choices the partner knows."""
    for key, spec in fields["properties"].items():
        for path, inner, _ in _nested(spec, fields["properties"]):
            if "x-choices" in inner:
                names = [key, *path.replace("/items", "").split("/properties/")[1:]]
                yield pointer("properties", key) + path, ".".join(names), inner["x-choices"]


_Nested = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _nested(spec: object, siblings: Mapping[str, Any], path: str = "") -> Iterator[_Nested]:
    """Yield a field and all within it, each with its path and the fields beside it."""
    if not isinstance(spec, dict):
        return
    yield path, spec, siblings
    if isinstance(spec.get("items"), dict):
        yield from _nested(spec["items"], siblings, f"{path}/items")
    inner = spec.get("properties")
    if not isinstance(inner, dict):
        return
    for key, part in inner.items():
        yield from _nested(part, inner, path + pointer("properties", key))


def _labels(document: Document, place: str, spec: Mapping[str, Any]) -> Iterator[Issue]:
    labels, values = spec.get("x-labels"), spec.get("enum")
    if labels is None:
        return
    if not isinstance(values, list):
        yield document.issue(f"{place}/x-labels", "needs enum beside it, whose values it labels")
    elif len(labels) != len(values):
        message = f"has {len(labels)} labels for {len(values)} values: expected one for each"
        yield document.issue(f"{place}/x-labels", message)


def _conditions(
    document: Document,
    place: str,
    spec: Mapping[str, Any],
    root: Mapping[str, Any],
    siblings: Mapping[str, Any],
    kind: str,
) -> Iterator[Issue]:
    """Yield the names in conditions that no field has.

    A form also knows the fields beside a property; whether one is required, the payload decides.
    """
    for keyword in (_DEPENDS_ON, KEYWORD):
        known = {**root, **siblings} if keyword == _DEPENDS_ON else root
        for at, one in enumerate(spec.get(keyword, {}).get("conditions", ())):
            message = _unknown(one["field"], known, kind)
            if message:
                yield document.issue(place + pointer(keyword, "conditions", at, "field"), message)


def _unknown(name: str, known: Mapping[str, Any], kind: str) -> str:
    """Return the message for a name that no field has; empty if one does."""
    key, dot, child = name.partition(".")
    if name in known:
        return ""
    if not dot or key not in known:
        return unknown_name(kind, name, known)
    spec = known[key]
    inner = spec.get("items", spec).get("properties")
    if not isinstance(inner, dict) or child.split(".")[0] in inner:
        return ""
    listed = ", ".join(inner) or "none"
    return f"{key!r} has no property {child!r}; it has: {listed}{did_you_mean(child, inner)}"


def rule_text(rule: Mapping[str, Any]) -> str:
    """Return conditions as a clause in Markdown, such as ``"`kind` is `a` or `b`"``."""
    word = "or" if rule.get("match") == "any" else "and"
    return _joined([_condition(one) for one in rule["conditions"]], word)


def _condition(one: Mapping[str, Any]) -> str:
    name, is_same = _code(one["field"]), one["operator"] == "is"
    if "value" not in one:
        return f"{name} is {'missing' if is_same else 'there'}"
    value = one["value"]
    values = [_code(_text(each)) for each in (value if isinstance(value, list) else [value])]
    return f"{name} is {'' if is_same else 'not '}{_joined(values, 'or')}"


def _joined(parts: Sequence[str], word: str) -> str:
    if len(parts) < len(("a", "b", "c")):
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])}, {word} {parts[-1]}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
