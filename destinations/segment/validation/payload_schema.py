"""Schemas of payloads, compiled once when they are loaded and asked for every event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from operator import itemgetter
from typing import Any, Final

import jsonschema_rs

from destinations.errors import DefinitionError, Issue
from destinations.segment.javascript.json_form import JsonForm, as_json_form
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.validation.changes import find_changes
from destinations.segment.validation.empties import compile_root_cleaner
from destinations.segment.validation.filling import Member, compile_settler, fill
from destinations.segment.validation.fits import ALWAYS, NEVER, Fit, compile_fit
from destinations.segment.validation.keywords import Errors, Rule
from destinations.segment.validation.library import library_validator
from destinations.segment.validation.required_when import expanded
from destinations.segment.validation.results import Checked, FieldError
from destinations.segment.validation.schema_check import schema_issues
from destinations.segment.validation.schema_rule import compile_object_rules, compile_rule

__all__ = ["CompiledSchema", "compile_schema"]


class CompiledSchema:
    """The schema of a payload, ready to make payloads and to check them."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile a schema without issues."""
        self.schema: Final = schema
        self._validator: Final = library_validator(schema)
        properties = schema.get("properties", {})
        rules = {key: compile_rule(part, schema) for key, part in properties.items()}
        self._rules: Final = compile_object_rules(schema, schema, rules)
        if self._rules is None:
            self._rule  # noqa: B018 - compile now, so that errors of the schema appear when it is loaded
        self._fits = {
            key: compile_fit(part).without_empty_text() for key, part in properties.items()
        }
        self._settlers = {
            key: compile_settler(
                compile_root_cleaner(part), None if self.waits(key) else rules[key]
            )
            for key, part in properties.items()
        }
        additional = schema.get("additionalProperties", True)
        self._other_fits = ALWAYS.without_empty_text() if additional is True else NEVER
        self._settle_other = compile_settler(compile_root_cleaner(None), None)
        # Unknown members are only tested for presence before they are removed.
        self._drops_others = additional is False and self._looks_at_members_alone()
        self._required: tuple[str, ...] = tuple(schema.get("required", ()))
        self._otherwise = [
            (key, part["x-otherwise"], self._fits[key].holds(part["x-otherwise"]))
            for key, part in properties.items()
            if isinstance(part, dict) and "x-otherwise" in part
        ]
        self.finish: Final = self._compile_finish()

    @cached_property
    def _rule(self) -> Rule:
        """The rule of the whole payload: for values that are not, or never count as, objects."""
        return compile_rule(self.schema, self.schema)

    def _looks_at_members_alone(self) -> bool:
        """Return whether a payload is right when each member fits, and none is missing."""
        rules = self._rules
        return rules is not None and rules.before is None and rules.after is None

    def waits(self, key: str) -> bool:
        """Return whether a member has to wait: conditions see values before they are coerced."""
        return self._rules is None or self._rules.seen is None or key in self._rules.seen

    def member(self, key: str, get: Callable[[Any], Any], fit: Fit | None = None) -> Member:
        """Return the member of a payload whose value ``get`` finds.

        ``fit`` is a test to use in place of the one that its schema makes.
        """
        if key not in self._fits:
            is_dropped = self._drops_others and key not in self._required
            return Member(key, get, self._other_fits, _drop if is_dropped else self._settle_other)
        return Member(key, get, fit or self._fits[key], self._settlers[key])

    def _compile_finish(self) -> Callable[[dict[str, Any], list[str], Errors], Any]:
        is_plain, judged = self._looks_at_members_alone(), self._judged
        otherwise, required = self._otherwise, self._required

        def finish(payload: dict[str, Any], unsettled: list[str], errors: Errors) -> Any:
            """Return a payload that was filled with its members, and append what is wrong with it.

            Members that are absent have what their field says for that. Then all is checked that
            the members by themselves do not tell, and the ``unsettled`` ones are.
            """
            for key, value, fits in otherwise:
                if key not in payload:
                    payload[key] = deepcopy(value) if type(value) in {dict, list} else value
                    if not fits:
                        unsettled.append(key)
            if unsettled or not is_plain:
                return judged(payload, unsettled, errors)
            for key in required:
                if key not in payload:
                    return judged(payload, unsettled, errors)
            return payload

        return finish

    def _judged(self, payload: dict[str, Any], unsettled: list[str], errors: Errors) -> Any:
        """Return the payload as the rules have it; all but the ``unsettled`` members fit."""
        if self._rules is None:
            return self._rule(payload, errors)
        before, seen, members, after = self._rules
        result: Any = payload
        keys: Iterable[str] | None = unsettled
        if before is not None:
            result = before(payload, errors)
            if result is not payload and seen is None:
                keys = None
            elif result is not payload and seen is not None:
                keys = [key for key in result if key in seen or key in unsettled]
        if members is not None:
            result = members(result, errors, keys)
        return result if after is None else after(result, errors)

    def is_valid(self, value: Any) -> bool:
        """Return whether a value fits as it is: nothing is taken out and nothing is coerced."""
        try:
            return self._validator.is_valid(value)
        except ValueError:  # no JSON: half a surrogate pair, or nesting without end
            return False

    def check(self, payload: Any, *, changes: bool = False) -> Checked:
        """Return a payload as its fields have it, and what does not fit.

        Empty values go, arrays are made of scalars where the field is one, members that are absent
        have what their field says for that, unknown ones go, scalars are turned into the type of
        their field; then everything is checked. The payload given is not changed, but the result
        may share objects and arrays with it. With ``changes`` the result lists what was changed.
        """
        errors: Errors = []
        whole = payload.whole if type(payload) is JsonForm else payload
        if isinstance(whole, dict):
            made: dict[str, Any] = {}
            unsettled: list[str] = []
            fill([self.member(key, itemgetter(key)) for key in whole], whole, made, unsettled)
            result = self.finish(made, unsettled, errors)
        else:
            result = self._rule(whole, errors)
        if type(payload) is JsonForm:
            result = as_json_form(result)
        return Checked(
            result,
            field_errors(errors),
            tuple(find_changes(payload, result, self.schema)) if changes else (),
        )


def field_errors(errors: Errors) -> tuple[FieldError, ...]:
    """Return errors of rules as those of fields."""
    return tuple([FieldError(path, message) for path, message in errors])


def _drop(value: Any) -> Any:  # noqa: ARG001 - the signature of every settler
    return UNDEFINED


def compile_schema(schema: Mapping[str, Any]) -> CompiledSchema:
    """Compile the schema of a payload: draft 2020-12, coercing as ajv does.

    Raises DefinitionError with every issue: what the meta-schema refuses, unknown keywords and
    formats, broken patterns.
    """
    issues = schema_issues(schema)
    if issues:
        raise DefinitionError(issues)
    try:
        return CompiledSchema(expanded(schema))
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError, ValueError) as error:
        message = f"has a reference that leads nowhere: {str(error).splitlines()[0]}"
        raise DefinitionError([Issue(message)]) from None
