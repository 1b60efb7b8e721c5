"""Schemas of payloads, compiled once when they are loaded and checked for every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from destinations.errors import DefinitionError, Fault
from destinations.segment.javascript.json_form import JsonForm, as_json_form
from destinations.segment.validation.changes import find_changes
from destinations.segment.validation.empties import compile_root_cleaner
from destinations.segment.validation.results import Checked, FieldError
from destinations.segment.validation.rules import Errors, Rule
from destinations.segment.validation.schema import compile_rule, library_validator, schema_faults

__all__ = ["CompiledSchema", "compile_schema"]


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """The schema of a payload, ready to check payloads."""

    schema: Mapping[str, Any]
    _validator: jsonschema_rs.Validator = field(repr=False)
    _clean: Callable[[dict[str, Any]], dict[str, Any]] = field(repr=False)
    _rule: Rule = field(repr=False)

    def is_valid(self, value: Any) -> bool:
        """Whether a value fits as it is: nothing is taken out and nothing is coerced."""
        try:
            return self._validator.is_valid(value)
        except ValueError:  # no JSON: half a surrogate pair, or nesting without end
            return False

    def check(self, payload: Any, *, changes: bool = False) -> Checked:
        """Make ``payload`` fit and say what does not.

        Empty values go, arrays are made of scalars where the field is one, unknown keys go,
        scalars are turned into the type of the field; then everything is checked. The payload
        given is not changed, but the result may share objects and arrays with it. With
        ``changes`` the result lists what was changed.
        """
        errors: Errors = []
        is_json_form = type(payload) is JsonForm
        whole = payload.whole if is_json_form else payload
        cleaned = self._clean(whole) if isinstance(whole, dict) else whole
        result = self._rule(cleaned, errors)
        if is_json_form:
            result = as_json_form(result)
        if not errors and not changes:
            return Checked(result)
        return Checked(
            result,
            tuple([FieldError(path, message) for path, message in errors]),
            tuple(find_changes(payload, result, self.schema)) if changes else (),
        )


def compile_schema(schema: Mapping[str, Any]) -> CompiledSchema:
    """Compile the schema of a payload: draft 2020-12, coercing as ajv does.

    Raises DefinitionError with every fault: what the meta-schema refuses, unknown keywords and
    formats, broken patterns.
    """
    faults = schema_faults(schema)
    if faults:
        raise DefinitionError(faults)
    try:
        rule = compile_rule(schema, schema)
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError) as error:
        message = f"has a reference that leads nowhere: {str(error).splitlines()[0]}"
        raise DefinitionError([Fault(message)]) from None
    return CompiledSchema(schema, library_validator(schema), compile_root_cleaner(schema), rule)
