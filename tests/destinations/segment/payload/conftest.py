"""Payloads in all the ways in which they can be made, which must be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import pytest

from destinations.errors import ResolveError
from destinations.segment import payload_code
from destinations.segment.javascript.json_form import JsonForm, as_json_form
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping
from destinations.segment.payload import compile_payload
from destinations.segment.validation import compile_schema
from destinations.segment.validation.empties import compile_root_cleaner
from destinations.segment.validation.required_when import expanded
from destinations.segment.validation.schema_rule import compile_rule

Made = tuple[str, list[tuple[str, str]]]
"""A payload as it prints itself, in the order of its keys, and what is wrong with it."""

Ways = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Callable[[Any], Made]]]


def _or_failure(make: Callable[[Any], Made]) -> Callable[[Any], Made]:
    def made(event: Any) -> Made:
        try:
            return make(event)
        except ResolveError as error:
            return "failed", [(error.path, error.message)]

    return made


def all_ways(
    mapping: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Callable[[Any], Made]]:
    """Compile a mapping and a schema in each way: as code, as a loop, and one after the other."""
    resolver, checker = compile_mapping(mapping), compile_schema(schema)
    as_code = compile_payload(resolver, checker)
    with patch.object(payload_code, "MOST_MEMBERS", -1):
        as_loop = compile_payload(resolver, checker)

    def of_code(event: Any) -> Made:
        errors: list[tuple[str, str]] = []
        return repr(as_code(event, errors)), errors

    def of_loop(event: Any) -> Made:
        errors: list[tuple[str, str]] = []
        return repr(as_loop(event, errors)), errors

    def checked(event: Any) -> Made:
        found = checker.check(resolver.resolve(event))
        return repr(found.payload), [(error.path, error.message) for error in found.errors]

    def by_rules(event: Any) -> Made:
        errors: list[tuple[str, str]] = []
        mapped = resolver.resolve(event)
        whole = mapped.whole if isinstance(mapped, JsonForm) else mapped
        return repr(as_json_form(_judged(schema, whole, errors))), errors

    made = {"code": of_code, "loop": of_loop, "check": checked, "rules": by_rules}
    return {name: _or_failure(make) for name, make in made.items()}


def _judged(schema: Mapping[str, Any], mapped: Any, errors: list[tuple[str, str]]) -> Any:
    """Return what the rules of a whole schema make of a payload, with no test before them."""
    if isinstance(mapped, dict):
        fields = schema.get("properties", {})
        cleaned = {
            key: compile_root_cleaner(fields.get(key))(value) for key, value in mapped.items()
        }
        mapped = {key: value for key, value in cleaned.items() if value is not UNDEFINED}
        for key, part in fields.items():
            if isinstance(part, dict) and "x-otherwise" in part:
                mapped.setdefault(key, part["x-otherwise"])
    whole = expanded(schema)
    return compile_rule(whole, whole)(mapped, errors)


@pytest.fixture(scope="session")
def ways() -> Ways:
    """What compiles a mapping and a schema in each way."""
    return all_ways
