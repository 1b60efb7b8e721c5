"""The library that decides on the keywords of JSON Schema that need no coercion and are rare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import jsonschema_rs

from destinations.segment.javascript.values import NativeFunction
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.keywords import Errors, Rule

__all__ = ["DIALECT", "LEFT_TO_LIBRARY", "library_rule", "library_validator"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LEFT_TO_LIBRARY: Final = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "$dynamicAnchor",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "contains",
        "minContains",
        "maxContains",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


def library_validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Return the jsonschema-rs validator for a schema, with the formats of this package."""
    formats = {name: known.holds for name, known in FORMATS.items() if not known.of_numbers}
    return jsonschema_rs.validator_for(
        {"$schema": DIALECT, **schema},
        formats=formats,
        validate_formats=True,
        retriever=_retrieve,  # a definition must not make its user's machine fetch things
    )


def _retrieve(uri: str) -> NoReturn:
    raise ValueError(f"there is no {uri} in this schema; references should begin with #/$defs/")


def library_rule(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Rule:
    """Return the rule of a schema of such keywords; ``$ref`` looks in ``root``."""
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
        except ValueError as error:  # it writes errors for JSON of up to 255 levels only
            holds_function = NativeFunction.__name__ in str(error)
            must_not = "hold functions" if holds_function else "be nested so deeply"
            errors.append(("", f"must not {must_not}"))
        return value

    return rule
