"""JSON Schema to one rule, compiled once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from destinations.segment.validation.keywords import (
    ANNOTATIONS,
    VALUE_CHECKS,
    Errors,
    Rule,
    type_rule,
    value_rule,
)
from destinations.segment.validation.kinds import (
    WRONG,
    describe,
    takes_whole_numbers,
    to_whole_number,
)
from destinations.segment.validation.library import LEFT_TO_LIBRARY, library_rule
from destinations.segment.validation.nesting import (
    ObjectRule,
    all_rule,
    any_rule,
    array_rule,
    if_rule,
    not_rule,
    object_rule,
    one_rule,
)

__all__ = ["ObjectRules", "compile_object_rules", "compile_rule"]


def compile_rule(schema: Any, root: Mapping[str, Any]) -> Rule:
    """Return the rule of a schema without issues; ``$ref`` looks in ``root``."""
    if schema is True or schema == {}:
        return _pass
    if schema is False:
        return _refuse
    before, members, after = _parts(schema, root)
    rules = [*before, *([] if members is None else [members]), *after]
    check = rules[0] if len(rules) == 1 else all_rule(rules)
    if "type" not in schema:
        return check
    return _typed(schema, check if rules else None)


class ObjectRules(NamedTuple):
    """The rule of an object in three parts: that of its members, and what comes before and after.

    A part is None where the schema asks for nothing. ``seen`` are the members that the first part
    may look at, before they are coerced; None if that may be any.
    """

    before: Rule | None
    seen: frozenset[str] | None
    members: ObjectRule | None
    after: Rule | None


def compile_object_rules(
    schema: Mapping[str, Any], root: Mapping[str, Any], of_members: Mapping[str, Rule]
) -> ObjectRules | None:
    """Return the rule of a schema in parts; None for one that takes no object as it is.

    ``of_members`` are the rules of its ``properties``.
    """
    if schema.get("type", "object") != "object":
        return None
    before, members, after = _parts(schema, root, of_members)
    return ObjectRules(
        all_rule(before) if before else None,
        _seen(schema) if before else frozenset(),
        members,
        all_rule(after) if after else None,
    )


def _seen(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the members of an object that its conditions look at; None if that may be any."""
    names: set[str] = set()
    pending = [{name: part for name, part in schema.items() if name not in _MEMBERS}]
    while pending:
        for keyword, asked in pending.pop().items():
            if keyword in _MEMBERS and keyword != "additionalProperties":
                names.update(asked)
            elif keyword in _COMBINED:
                parts = asked if isinstance(asked, list) else [asked]
                pending += [part for part in parts if isinstance(part, dict)]
            elif keyword not in ANNOTATIONS and keyword != "type":
                return None
    return frozenset(names)


_MEMBERS: Final = frozenset({"properties", "required", "additionalProperties"})
_COMBINED: Final = frozenset({"not", "anyOf", "oneOf", "allOf", "if", "then", "else"})


def _parts(
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    of_members: Mapping[str, Rule] | None = None,
) -> tuple[list[Rule], ObjectRule | None, list[Rule]]:
    """Return the rules of all but the type: before those of an object's members, them, after."""
    named = [name for name in VALUE_CHECKS if name in schema]
    first = [name for name in named if name in _BEFORE_COMBINED]
    rules = [
        *(value_rule(VALUE_CHECKS[name](schema[name])) for name in first),
        *_combined(schema, root),
        *(value_rule(VALUE_CHECKS[name](schema[name])) for name in named if name not in first),
        *_items(schema, root),
    ]
    left = {name: schema[name] for name in LEFT_TO_LIBRARY & schema.keys()}
    return rules, _members(schema, root, of_members), [library_rule(left, root)] if left else []


# ajv looks at these before the schemas that a schema combines, and at all others after.
_BEFORE_COMBINED: Final = VALUE_CHECKS.keys() - frozenset(
    {"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
)


def _pass(value: Any, errors: Errors) -> Any:  # noqa: ARG001 - the signature of every rule
    return value


def _refuse(value: Any, errors: Errors) -> Any:
    errors.append(("", "must not be there"))
    return value


_INFINITIES: Final = (math.inf, -math.inf)


def _typed(schema: Mapping[str, Any], check: Rule | None) -> Rule:
    """Convert first; what cannot be converted is not looked at any further."""
    types = schema["type"]
    convert, message = type_rule((types,) if isinstance(types, str) else types)
    if takes_whole_numbers(schema):
        convert, message = to_whole_number, "must be a whole number"

    def rule(value: Any, errors: Errors) -> Any:
        converted = convert(value)
        if converted is WRONG:
            errors.append(("", f"{message}, got {describe(value)}"))
            return value
        result = converted if check is None else check(converted, errors)
        if result is not value and result in _INFINITIES:
            return None  # what JSON makes of "Infinity", once it is a number
        return result

    return rule


def _combined(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Rule]:
    rules: list[Rule] = []
    if "not" in schema:
        rules.append(not_rule(compile_rule(schema["not"], root)))
    for name, combine in (("anyOf", any_rule), ("oneOf", one_rule), ("allOf", all_rule)):
        if name in schema:
            rules.append(combine([compile_rule(part, root) for part in schema[name]]))
    if "if" in schema:
        then, otherwise = (
            compile_rule(schema[name], root) if name in schema else None
            for name in ("then", "else")
        )
        rules.append(if_rule(compile_rule(schema["if"], root), then, otherwise))
    return rules


def _items(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Rule]:
    if "items" not in schema and "prefixItems" not in schema:
        return []
    first = [compile_rule(part, root) for part in schema.get("prefixItems", ())]
    return [array_rule(first, compile_rule(schema["items"], root) if "items" in schema else None)]


def _members(
    schema: Mapping[str, Any], root: Mapping[str, Any], known: Mapping[str, Rule] | None
) -> ObjectRule | None:
    if not schema.keys() & {"properties", "required", "additionalProperties"}:
        return None
    additional = schema.get("additionalProperties", True)
    if known is None:
        known = {
            key: compile_rule(part, root) for key, part in schema.get("properties", {}).items()
        }
    return object_rule(
        known,
        schema.get("required", ()),
        compile_rule(additional, root) if isinstance(additional, dict) else None,
        is_closed=additional is False,
    )
