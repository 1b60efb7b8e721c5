"""JSON Schema to one rule, compiled once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import jsonschema_rs

from destinations.errors import Fault
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.kinds import (
    WRONG,
    describe,
    takes_whole_numbers,
    to_whole_number,
)
from destinations.segment.validation.nesting import (
    all_rule,
    any_rule,
    array_rule,
    if_rule,
    not_rule,
    object_rule,
    one_rule,
)
from destinations.segment.validation.rules import VALUE_RULES, Errors, Rule, type_rule

__all__ = ["compile_rule", "library_validator", "schema_faults"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANNOTATIONS: Final = _names(
    "$schema $id $anchor $comment $defs definitions title description default examples deprecated"
    " readOnly writeOnly contentEncoding contentMediaType contentSchema"
)
_NESTING: Final = _names(
    "type not anyOf oneOf allOf if then else items prefixItems properties required"
    " additionalProperties"
)
_LEFT_TO_LIBRARY: Final = _names(
    "$ref $dynamicRef $dynamicAnchor patternProperties propertyNames dependentRequired"
    " dependentSchemas contains minContains maxContains unevaluatedItems unevaluatedProperties"
)
_REFERENCE: Final = re.compile(r"#$|#/(\$defs|definitions)/")
_KNOWN: Final = _ANNOTATIONS | _NESTING | _LEFT_TO_LIBRARY | VALUE_RULES.keys()


@lru_cache(maxsize=1)
def _meta_validator() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$ref": _DIALECT})


def schema_faults(schema: object, path: str = "") -> list[Fault]:
    """Return what is wrong with a schema: against the 2020-12 meta-schema, and names nobody knows.

    Of the keywords that start with ``x-`` only ``x-refuse`` is looked at.
    """
    try:
        found = [
            Fault(error.message, pointer(*error.instance_path))
            for error in _meta_validator().iter_errors(schema)
        ]
    except UnicodeEncodeError:
        return [Fault("should not hold one half of a surrogate pair", path)]
    except ValueError:  # the library reads 255 levels
        return [Fault("should not be nested so deeply", path)]
    # Each vocabulary of the meta-schema reports what is no schema at all.
    faults = list(dict.fromkeys(found))
    if not faults:
        _check_names(schema, path, faults)
    if not faults and isinstance(schema, dict):
        faults += _library_faults(schema, path)
    return faults


def _library_faults(schema: Mapping[str, Any], path: str) -> list[Fault]:
    """Return what only shows when the library compiles the schema: references and identifiers."""
    try:
        library_validator(schema)
    except jsonschema_rs.ValidationError as error:
        place = pointer(*error.instance_path)
        return [Fault(error.message, path + place)]
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return [Fault(str(error).splitlines()[0], path)]
    return []


def _retrieve(uri: str) -> NoReturn:
    raise ValueError(f"there is no {uri} in this schema; references should begin with #/$defs/")


def _check_names(schema: Any, path: str, faults: list[Fault]) -> None:
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        place = path + pointer(name)
        if name in _LISTS_OF_SCHEMAS:
            inner = list(enumerate(value))
        elif name in _MAPS_OF_SCHEMAS:
            inner = list(value.items())
        else:
            inner = []
            _check_keyword(name, value, place, faults)
        for key, part in inner:
            _check_names(part, place + pointer(key), faults)


def _check_keyword(name: str, value: Any, path: str, faults: list[Fault]) -> None:
    if name in _SCHEMAS:
        _check_names(value, path, faults)
    elif name == "format" and value not in FORMATS:
        faults.append(Fault(f"should be one of {', '.join(FORMATS)} but is {value}", path))
    elif name == "$ref" and not _REFERENCE.match(value):
        faults.append(Fault(f"should begin with #/$defs/ but is {value}", path))
    elif name == "pattern":
        _check_pattern(value, path, faults)
    elif name == "x-refuse":
        _check_refusals(value, path, faults)
    elif name not in _KNOWN and not name.startswith("x-"):
        faults.append(Fault("is no keyword of JSON Schema; own ones start with x-", path))


def _check_pattern(pattern: str, path: str, faults: list[Fault]) -> None:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        faults.append(Fault(str(error), path))


def _check_refusals(entries: Any, path: str, faults: list[Fault]) -> None:
    """``x-refuse``: patterns of texts that are refused, each with a message of its own."""
    if not isinstance(entries, list) or not entries:
        faults.append(Fault("should be a list of patterns, each with a message", path))
        return
    for index, entry in enumerate(entries):
        place = path + pointer(index)
        if not isinstance(entry, dict) or entry.keys() != {"pattern", "message"}:
            faults.append(Fault("should have a pattern and a message, and nothing else", place))
        elif not all(isinstance(text, str) and text for text in entry.values()):
            faults.append(Fault("should have texts as its pattern and its message", place))
        else:
            _check_pattern(entry["pattern"], place + pointer("pattern"), faults)


_LISTS_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS_OF_SCHEMAS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_SCHEMAS: Final = frozenset(
    {"not", "if", "then", "else", "items", "additionalProperties", "propertyNames", "contains"}
)


def compile_rule(schema: Any, root: Mapping[str, Any]) -> Rule:
    """Return the rule of a schema without faults; ``$ref`` looks in ``root``."""
    if schema is True or schema == {}:
        return _pass
    if schema is False:
        return _refuse
    rules = [VALUE_RULES[name](schema[name]) for name in VALUE_RULES if name in schema]
    at = sum(name in schema for name in _BEFORE_COMBINED)
    rules[at:at] = _combined(schema, root)
    rules += _members(schema, root)
    left = {name: schema[name] for name in _LEFT_TO_LIBRARY & schema.keys()}
    if left:
        rules.append(_library_rule(left, root))
    check = rules[0] if len(rules) == 1 else all_rule(rules)
    if "type" not in schema:
        return check
    return _typed(schema, check if rules else None)


# ajv looks at these before the schemas that a schema combines, and at all others after.
_BEFORE_COMBINED: Final = [
    name
    for name in VALUE_RULES
    if name not in {"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
]


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


def _members(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Rule]:
    rules: list[Rule] = []
    if "items" in schema or "prefixItems" in schema:
        first = [compile_rule(part, root) for part in schema.get("prefixItems", ())]
        each = compile_rule(schema["items"], root) if "items" in schema else None
        rules.append(array_rule(first, each))
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        properties = {
            key: compile_rule(part, root) for key, part in schema.get("properties", {}).items()
        }
        additional = schema.get("additionalProperties", True)
        is_schema = isinstance(additional, dict)
        rules.append(
            object_rule(
                properties,
                schema.get("required", ()),
                compile_rule(additional, root) if is_schema else None,
                is_closed=additional is False,
            )
        )
    return rules


def library_validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Return the jsonschema-rs validator for a schema, with the formats of this package."""
    formats = {name: known.holds for name, known in FORMATS.items() if not known.of_numbers}
    return jsonschema_rs.validator_for(
        {"$schema": _DIALECT, **schema},
        formats=formats,
        validate_formats=True,
        retriever=_retrieve,  # a definition must not make anybody's machine fetch things
    )


def _library_rule(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Rule:
    """Return a rule for the keywords that need no coercion and are rare: jsonschema-rs decides."""
    definitions = {name: root[name] for name in ("$defs", "definitions") if name in root}
    validator = library_validator({**definitions, **schema})

    def rule(value: Any, errors: Errors) -> Any:
        try:
            if not validator.is_valid(value):
                errors.extend(
                    (pointer(*error.instance_path), error.message)
                    for error in validator.iter_errors(value)
                )
        except UnicodeEncodeError:
            errors.append(("", "must not hold one half of a surrogate pair"))
        except ValueError:  # the library reads 255 levels
            errors.append(("", "must not be nested so deeply"))
        return value

    return rule
