"""Check the keywords that forms read: labels, conditions on other fields, choices."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.document import Document
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.required_when import KEYWORD

__all__ = ["KEYWORDS", "choice_fields", "form_issues", "keyword_warnings", "rule_text"]

KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "field": frozenset(
        {
            "x-partnerField", "x-otherwise", "x-identifier", "x-wholeNumber", "x-refuse",
            "x-escape", "x-labels", "x-placeholder", "x-dependsOn", "x-requiredWhen", "x-hidden",
            "x-display", "x-category", "x-objectUI", "x-disabledInputs", "x-choices", "x-segment",
        }
    ),
    "setting": frozenset(
        {
            "x-catalog", "x-environments", "x-expected", "x-refuse", "x-labels", "x-placeholder",
            "x-dependsOn", "x-requiredWhen", "x-hidden", "x-display", "x-category",
        }
    ),
}  # fmt: skip
"""The keywords of fields and settings that JSON Schema does not have."""

_OF_OTHERS: Final = re.compile(r"x-[A-Za-z0-9]+-.")
"""A keyword of somebody else, such as ``x-acme-note``."""

_DEPENDS_ON: Final = "x-dependsOn"


def form_issues(
    document: Document, place: str, schema: Mapping[str, Any], kind: str
) -> Iterator[Issue]:
    """Yield the issues of the fields of an object at ``place``; ``kind`` is field or setting."""
    root = schema["properties"]
    for key, spec in root.items():
        own = place + pointer("properties", key)
        for path, inner, siblings in _nested(spec, root):
            yield from _mistyped(document, own + path, inner, kind)
            yield from _labels(document, own + path, inner)
            yield from _conditions(document, own + path, inner, root, siblings, kind)
        if KEYWORD in spec and key in schema.get("required", ()):
            message = f"has no effect: the {kind} {key!r} is always required"
            yield document.issue(f"{own}/{KEYWORD}", message)
        named = [one.get("field") for one in spec.get(_DEPENDS_ON, {}).get("conditions", ())]
        if key in named:
            at = pointer(_DEPENDS_ON, "conditions", named.index(key), "field")
            yield document.issue(own + at, f"is the {kind} itself: expected another one")


def _mistyped(
    document: Document, place: str, spec: Mapping[str, Any], kind: str
) -> Iterator[Issue]:
    """Yield keywords that are nearly known ones, and would have no effect."""
    for key in spec:
        meant = _meant(key, kind)
        if meant:
            yield document.issue(place + pointer(key), f"unknown keyword; did you mean {meant}?")


def keyword_warnings(
    document: Document, place: str, schema: Mapping[str, Any], kind: str
) -> Iterator[Issue]:
    """Yield the keywords in the fields of an object that have no effect, and do no harm.

    These are unknown ones, conditions that never hold, and circles of fields that no form shows.
    """
    root = schema["properties"]
    yield from _never_shown(document, place, root, kind)
    for key, spec in root.items():
        for path, inner, siblings in _nested(spec, root):
            own = place + pointer("properties", key) + path
            yield from _unknown_values(document, own, inner, {**root, **siblings})
            for one in inner:
                is_own = one.startswith("x-") and not _OF_OTHERS.match(one)
                if is_own and one not in KEYWORDS[kind]:
                    own = place + pointer("properties", key) + path + pointer(one)
                    known = ", ".join(sorted(KEYWORDS[kind]))
                    message = f"unknown keyword; known: {known}; one of your own is x-NAME-KEYWORD"
                    yield document.issue(own, message)


def _unknown_values(
    document: Document, place: str, spec: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[Issue]:
    """Yield the values in conditions that the other field never has."""
    for keyword in (_DEPENDS_ON, KEYWORD):
        for at, one in enumerate(spec.get(keyword, {}).get("conditions", ())):
            other = _spec_of(one["field"], known)
            values = other.get("enum", [other["const"]] if "const" in other else None)
            if "value" not in one or not isinstance(values, list):
                continue
            own = place + pointer(keyword, "conditions", at, "value")
            given = one["value"]
            each_at = [(own, given)]
            if isinstance(given, list):
                each_at = [(own + pointer(index), value) for index, value in enumerate(given)]
            for value_at, value in each_at:
                if not any(_is_same(value, each) for each in values):
                    texts = [_text(each) for each in values]
                    what = f"value of {one['field']}"
                    yield document.issue(value_at, unknown_name(what, _text(value), texts))


def _is_same(one: object, other: object) -> bool:
    """Return whether two values of JSON are the same: true is not 1."""
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def _spec_of(name: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a field, or of a property of one; empty if that is not known."""
    if name in known:
        spec = known[name]
    else:
        key, _, child = name.partition(".")
        outer = known.get(key, {})
        spec = outer.get("items", outer).get("properties", {}).get(child, {})
    return spec if isinstance(spec, Mapping) else {}


def _never_shown(
    document: Document, place: str, root: Mapping[str, Any], kind: str
) -> Iterator[Issue]:
    """Yield the fields that forms never show, as each waits for another one of a circle."""
    shown = {key for key, spec in root.items() if "default" in spec or _DEPENDS_ON not in spec}
    grew = True
    while grew:
        more = {key for key, spec in root.items() if _can_hold(spec.get(_DEPENDS_ON), shown, root)}
        grew = not more <= shown
        shown |= more
    hidden = [key for key in root if key not in shown]
    for key in hidden:
        waiting = [one["field"] for one in root[key][_DEPENDS_ON]["conditions"]]
        named = ", ".join(dict.fromkeys(one for one in waiting if one.split(".")[0] in hidden))
        message = (
            f"no form shows this {kind}: it waits for {named}, and that waits for it in a circle"
        )
        yield document.issue(place + pointer("properties", key, _DEPENDS_ON), message)


def _can_hold(rule: Mapping[str, Any] | None, shown: Collection[str], known: object) -> bool:
    """Return whether conditions can hold in a form where only these fields can have a value."""
    if rule is None:
        return True
    held = [_may_be(one, shown, known) for one in rule["conditions"]]
    return any(held) if rule.get("match") == "any" else all(held)


def _may_be(one: Mapping[str, Any], shown: Collection[str], known: object) -> bool:
    key = one["field"].split(".")[0]
    # A field that nobody can fill in is missing, and has no value.
    needs_value = (one["operator"] == "is") is ("value" in one)
    is_known = isinstance(known, Mapping) and key in known
    return not needs_value or key in shown or not is_known


def _meant(key: str, kind: str) -> str:
    """Return the keyword that a mistyped one is meant to be; empty if it is another thing."""
    if not key.startswith("x-") or key in KEYWORDS[kind]:
        return ""
    letters = _letters(key)
    same = next((one for one in KEYWORDS[kind] if _letters(one) == letters), "")
    if same or _OF_OTHERS.match(key):
        return same
    return did_you_mean(key, KEYWORDS[kind]).removeprefix("; did you mean ").removesuffix("?")


def _letters(key: str) -> str:
    return key[1:].replace("-", "").replace("_", "").casefold()


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
