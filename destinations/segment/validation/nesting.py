"""Keywords of JSON Schema that hold other schemas: properties, items, conditions.

Values are changed on copies only: a rule gives back the very object it got, or a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from destinations.segment.json_pointer import pointer
from destinations.segment.validation.keywords import Errors, Rule

__all__ = [
    "ObjectRule",
    "all_rule",
    "any_rule",
    "array_rule",
    "if_rule",
    "not_rule",
    "object_rule",
    "one_rule",
]


class ObjectRule(Protocol):
    """The rule of an object's members, which may be asked about only some of them."""

    def __call__(self, value: Any, errors: Errors, keys: Iterable[str] | None = None) -> Any:
        """Judge a value; of an object only the members ``keys``, if the others fit already."""


def _move(errors: Errors, start: int, key: str | int) -> None:
    """Put the errors from ``start`` on, which a member made, below the member's key."""
    prefix = pointer(key)
    errors[start:] = [(prefix + path, message) for path, message in errors[start:]]


def _anything(value: Any, errors: Errors) -> Any:  # noqa: ARG001 - the signature of every rule
    return value


def _only(value: dict[str, Any], known: Mapping[str, Rule]) -> dict[str, Any]:
    if value.keys() <= known.keys():
        return value
    return {key: item for key, item in value.items() if key in known}


def _chosen(value: dict[str, Any], keys: Iterable[str] | None) -> Iterable[tuple[str, Any]]:
    if keys is None:
        return value.items()
    return [(key, value[key]) for key in keys if key in value]  # an unknown one was taken out


def object_rule(
    properties: Mapping[str, Rule],
    required: Sequence[str],
    additional: Rule | None,
    *,
    is_closed: bool,
) -> ObjectRule:
    """Check required keys, then take out (if closed) or check the others, then known ones."""
    others = _anything if additional is None else additional

    def rule(value: Any, errors: Errors, keys: Iterable[str] | None = None) -> Any:
        if not isinstance(value, dict):
            return value
        for key in required:
            if key not in value:
                errors.append((pointer(key), "is required but missing"))
        if is_closed:
            value = _only(value, properties)
        result = value
        count = len(errors)
        for key, item in _chosen(value, keys):
            checked = properties.get(key, others)(item, errors)
            if len(errors) != count:
                _move(errors, count, key)
                count = len(errors)
            if checked is not item:
                if result is value:
                    result = dict(value)
                result[key] = checked
        return result

    return rule


def array_rule(first: Sequence[Rule], each: Rule | None) -> Rule:
    """Make a rule that checks the first items by their place, and the others by ``each``."""

    def rule(value: Any, errors: Errors) -> Any:
        if not isinstance(value, list):
            return value
        result = value
        count = len(errors)
        for at, item in enumerate(value):
            check = first[at] if at < len(first) else each
            if check is None:
                continue
            checked = check(item, errors)
            if len(errors) != count:
                _move(errors, count, at)
                count = len(errors)
            if checked is not item:
                if result is value:
                    result = list(value)
                result[at] = checked
        return result

    return rule


# Below, a schema that is only tried may change the value for good, as it does in ajv: a condition
# that asks for null turns 0 into null, which the type of the field then turns back its own way.


def all_rule(rules: Sequence[Rule]) -> Rule:
    """Make a rule that holds if every one of ``rules`` does."""

    def rule(value: Any, errors: Errors) -> Any:
        for part in rules:
            value = part(value, errors)
        return value

    return rule


def any_rule(rules: Sequence[Rule]) -> Rule:
    """Accept what the first rule that holds accepts."""

    def rule(value: Any, errors: Errors) -> Any:
        reasons: Errors = []
        for part in rules:
            attempt: Errors = []
            value = part(value, attempt)
            if not attempt:
                return value
            reasons += attempt
        listed = "; ".join(f"{path} {message}".strip() for path, message in reasons)
        errors.append(("", f"must fit one of several forms, but: {listed}"))
        return value

    return rule


def one_rule(rules: Sequence[Rule]) -> Rule:
    """Make a rule that holds if exactly one of ``rules`` does."""

    def rule(value: Any, errors: Errors) -> Any:
        fitting = 0
        for part in rules:
            attempt: Errors = []
            value = part(value, attempt)
            fitting += not attempt
        if fitting != 1:
            errors.append(("", f"must fit exactly one of {len(rules)} forms but fits {fitting}"))
        return value

    return rule


def not_rule(inner: Rule) -> Rule:
    """Refuse what the rule accepts."""

    def rule(value: Any, errors: Errors) -> Any:
        attempt: Errors = []
        value = inner(value, attempt)
        if not attempt:
            errors.append(("", "must not have the form that it has"))
        return value

    return rule


def if_rule(condition: Rule, then: Rule | None, otherwise: Rule | None) -> Rule:
    """Make a rule that checks ``then`` if the condition holds, else ``otherwise``."""

    def rule(value: Any, errors: Errors) -> Any:
        attempt: Errors = []
        value = condition(value, attempt)
        branch = otherwise if attempt else then
        return value if branch is None else branch(value, errors)

    return rule
