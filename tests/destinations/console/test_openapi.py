"""The OpenAPI document, which is made of the table that routes are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.routing import Route

from destinations.console.api.openapi import openapi_document
from destinations.console.api.routes import api_routes
from destinations.console.api.schemas import COMPONENTS, FORMS
from destinations.console.api.table import OPERATIONS
from destinations.console.problems import API
from destinations.operations import FILTERS
from tests.destinations.console.conftest import RunningConsole

KINDS = ("sqlite",)


def test_a_validator_accepts_it() -> None:
    """It is OpenAPI 3.1, with every reference."""
    validate(dict(openapi_document()))


@pytest.mark.parametrize("name", COMPONENTS)
def test_schemas_are_schemas(name: str) -> None:
    """Each of them is one of JSON Schema."""
    Draft202012Validator.check_schema(COMPONENTS[name])


def test_it_has_every_route() -> None:
    """And no other: both are made of one table."""
    found = {
        (method, route.path.removeprefix(API).replace(":delivery", ""))
        for route in api_routes()
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (method.upper(), path)
        for path, operations in openapi_document()["paths"].items()
        for method in operations
    }
    assert found == described
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


def test_parameters_of_paths() -> None:
    """Each part of a path has its schema."""
    for one in OPERATIONS:
        assert set(re.findall(r"\{(\w+)\}", one.path)) == one.parts.keys(), one.path


def test_what_changes_needs_a_role() -> None:
    """Only what shows something is for readers."""
    for one in OPERATIONS:
        shows = one.method == "GET" or one.name in {"explainEvent", "planConfiguration"}
        assert one.needs == ("read" if shows else "operate"), one.name


def test_each_form_of_a_text_has_words() -> None:
    """Who writes something else is told what is expected, never a regular expression."""
    patterns = set(_patterns(openapi_document()))
    assert patterns
    assert patterns == FORMS.keys()


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for item in value.values():
            yield from _patterns(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _patterns(item)


def test_conditions_are_those_of_the_command_line() -> None:
    """Each filter of `destinations deliveries` is a condition here, by the same name."""
    (listed,) = (one for one in OPERATIONS if one.name == "listDeliveries")
    assert {one.key for one in FILTERS.values()} == listed.query.keys() - {
        *("order", "cursor", "limit")
    }


def test_it_is_served(console: RunningConsole) -> None:
    """To whoever may look."""
    found: Any = console.reader.api("/openapi.json").json
    assert found["openapi"] == "3.1.0"
    assert found["info"]["title"] == "Destinations"
    assert console.stranger.api("/openapi.json").status == 401
