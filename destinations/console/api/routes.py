"""Make routes of the table: read and check a request, run its verb, write the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from destinations.console.api.openapi import openapi_document
from destinations.console.api.schemas import COMPONENTS, FORMS
from destinations.console.api.table import OPERATIONS, Call, Operation
from destinations.console.guard import MOST_BODY_BYTES
from destinations.console.problems import API, InputError, problem
from destinations.console.routing import ConsoleRoute, operator_of
from destinations.console.verbs import UnknownError
from destinations.errors import EventError, did_you_mean
from destinations.segment.event import read_json
from destinations.segment.json_pointer import pointer

__all__ = ["api_routes"]

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_FLAGS: Final = {"true": True, "false": False}
_SHOWN: Final = 10
"""The issues of a request that are told."""
_LONGEST: Final = 300


class _DeliveryConvertor(Convertor[str]):
    """Takes what may be the id of a delivery: not the verbs that stand in its place for several."""

    regex = r"(?!(?:drop|replay|resolve)$)[^/]+"

    def convert(self, value: str) -> str:
        """Leave it to the schema."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


register_url_convertor("delivery", _DeliveryConvertor())


def api_routes() -> Sequence[BaseRoute]:
    """Return the routes of the API."""
    return [
        *(_route(one) for one in OPERATIONS),
        ConsoleRoute(f"{API}/openapi.json", _document, needs="read"),
    ]


async def _document(request: Request) -> Response:  # noqa: ARG001 - as a route is called
    return JSONResponse(openapi_document())


def _route(operation: Operation) -> ConsoleRoute:
    async def answer(request: Request) -> Response:
        body: Mapping[str, Any] = {}
        if operation.body is not None:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            data = await request.body()
            if data and kind != "application/json":
                detail = f"the body is {kind or 'of no type'}: expected application/json"
                return problem(415, detail)
            body = _body(operation, data)
        call = Call(
            request.app.state.verbs,
            operator_of(request),
            _path(operation, request.path_params),
            _query(operation, request),
            body,
        )
        given = await run_in_threadpool(operation.run, call)
        response = JSONResponse(given)
        if isinstance(given, dict) and "version" in given and operation.method == "GET":
            response.headers["ETag"] = f'"{given["version"]}"'
        return response

    return ConsoleRoute(
        API + operation.path.replace("/deliveries/{id}", "/deliveries/{id:delivery}"),
        answer,
        needs=operation.needs,
        methods=[operation.method],
        name=operation.name,
    )


def _path(operation: Operation, given: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the parts of the path; raises `UnknownError` for one that nothing can be called."""
    found = {}
    for name, schema in operation.parts.items():
        value = _read(given[name], schema)
        if list(_validator_of(schema).iter_errors(value)):
            what = "delivery" if name == "id" else "tenant" if name == "tenant" else "destination"
            raise UnknownError(f"there is no {what} {given[name][:100]!r}")
        found[name] = value
    return found


def _query(operation: Operation, request: Request) -> Mapping[str, Any]:
    """Return the parameters of the query; raises `InputError` with every issue."""
    found: dict[str, Any] = {}
    issues: list[tuple[str, str]] = []
    for name in dict.fromkeys(request.query_params):
        values = request.query_params.getlist(name)
        place = f"query: {name[:100]}"
        if name not in operation.query:
            known = ", ".join(operation.query) or "none"
            issues.append((place, f"is no parameter of {operation.path}; it has: {known}"))
        elif len(values) > 1:
            issues.append((place, "is given several times: expected it once"))
        else:
            schema = operation.query[name]
            value = _read(values[0], schema)
            issues += [(place, _words(error)) for error in _validator_of(schema).iter_errors(value)]
            found[name] = value
    if issues:
        raise InputError(issues[:_SHOWN])
    return found


def _body(operation: Operation, data: bytes) -> Mapping[str, Any]:
    """Return the body; raises `InputError` with every issue."""
    assert operation.body is not None  # noqa: S101 - else none is read
    try:
        body = read_json(data, limit=MOST_BODY_BYTES) if data else {}
    except EventError as error:
        raise InputError([("body", error.message)]) from None
    issues = [
        (pointer(*map(str, error.absolute_path)) or "body", _words(error))
        for error in _body_validator(operation.body).iter_errors(body)
    ]
    if issues:
        raise InputError(issues[:_SHOWN])
    found: Mapping[str, Any] = body
    return found


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    """Return the value that a text in a URL stands for; the text if it is not of its type."""
    if schema.get("type") == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if schema.get("type") == "boolean":
        return _FLAGS.get(text, text)
    return text


def _words(error: ValidationError) -> str:
    """Return an issue in words that do not repeat a long value."""
    expected: Any = error.validator_value
    match error.validator:
        case "additionalProperties" | "required":
            return error.message[:_LONGEST]
        case "oneOf":
            return "expected either ids or selection"
        case "not":
            return "expected either events or last"
        case "enum":
            near = did_you_mean(str(error.instance)[:_LONGEST], map(str, expected))
            return f"must be one of {', '.join(map(str, expected))}{near}"
        case "type":
            return f"must be {_TYPES[expected]}"
        case "pattern":
            return f"invalid value {str(error.instance)[:_LONGEST]!r}: expected {FORMS[expected]}"
        case "minimum" | "maximum":
            return f"must be at {_BOUNDS[error.validator]} {expected:,}"
        case "minLength" | "maxLength" | "minItems" | "maxItems":
            what = _PARTS[error.validator[3:]]
            return f"must have at {_BOUNDS[error.validator[:3]]} {expected:,} {what}"
    return f"has the limit {error.validator} {expected}"


_BOUNDS: Final = {"minimum": "least", "maximum": "most", "min": "least", "max": "most"}
_PARTS: Final = {"Length": "characters", "Items": "entries"}
_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


def _validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema)


@cache
def _body_validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(COMPONENTS[name])
