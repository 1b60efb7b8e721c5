"""Make a partner's answers from a definition: successes, and errors that match its rules."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from destinations.definition import (
    AnswerRule,
    DestinationDefinition,
    ErrorCondition,
    GraphQLDefinition,
    JsonSchema,
    RequestDefinition,
    RestDefinition,
)
from destinations.definition.graphql_document import alias, root_keys
from destinations.http import Answer, HttpResponse, compile_request
from destinations.sandbox.patterns import text_with
from destinations.sandbox.sample_value import sample
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.validation import compile_schema

__all__ = [
    "MESSAGE",
    "complete_answer",
    "conditions_of",
    "error_answer",
    "failed_answer",
    "fitting_value",
    "graphql_error",
    "partial_answer",
    "put",
    "rule_that_reads",
    "success",
    "success_value",
    "unplaced_answer",
]

MESSAGE: Final = "made by the testing kit"

_JSON: Final = {"content-type": "application/json"}


def success_value(request: RequestDefinition) -> Any:
    """Return the value of a success for one event: the example, or one that fits ``expect``."""
    if request.example is not None:
        return request.example
    return sample(request.expect) if request.expect is not None else {}


def fitting_value(request: RequestDefinition, schema: JsonSchema) -> Any:
    """Return the value of a success that fits a schema as well; None if none can be made.

    It is the usual one where that fits, or else has of it what the schema leaves open.
    """
    usual, made = success_value(request), sample(schema)
    fits = [compile_schema(dict(one)).is_valid for one in (schema, request.expect or {})]
    candidates = (usual, _over(usual, made), made)
    return next((one for one in candidates if all(test(one) for test in fits)), None)


def _over(below: Any, above: Any) -> Any:
    """Return an object with the members of two; where both have one, it is that ``above``."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    both = {key: _over(below[key], value) for key, value in above.items() if key in below}
    return {**below, **above, **both}


def success(request: RequestDefinition, count: int) -> HttpResponse:
    """Return a successful response for ``count`` events."""
    value = success_value(request)
    if isinstance(request.call, GraphQLDefinition):
        return _json(200, {"data": _data(request.call, value, count)})
    return _json(200, value)


def _data(call: GraphQLDefinition, value: Any, count: int) -> dict[str, Any]:
    """Return the root fields of ``count`` events, each with ``value``."""
    keys = root_keys(call.document)
    if not keys:
        return {alias(index): value for index in range(count)}
    values: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    return {alias(index, key): values.get(key, {}) for index in range(count) for key in keys}


def graphql_error(message: str = MESSAGE, **parts: Any) -> dict[str, Any]:
    """Return an entry of ``errors``, with ``code`` and ``exception`` among its extensions."""
    extensions: dict[str, Any] = {}
    if parts.get("code") is not None:
        extensions["code"] = parts["code"]
    if parts.get("exception") is not None:
        extensions["exception"] = {"name": parts["exception"], "message": message}
    error: dict[str, Any] = {"message": message}
    if parts.get("path") is not None:
        error["path"] = parts["path"]
    return {**error, "extensions": extensions} if extensions else error


def partial_answer(request: RequestDefinition, count: int) -> HttpResponse | None:
    """Make an answer that refuses only the last of ``count`` events; None if there is none."""
    return failed_answer(request, count, {count - 1: {"message": MESSAGE}})


def failed_answer(
    request: RequestDefinition, count: int, failed: Mapping[int, Mapping[str, Any]]
) -> HttpResponse | None:
    """Make an answer that refuses these of ``count`` events; None if the definition has none.

    The parts of each refusal are ``message``, and perhaps ``code`` and ``exception``.
    """
    if isinstance(request.call, GraphQLDefinition):
        data = _data(request.call, success_value(request), count)
        keys = root_keys(request.call.document)[-1:] or ("",)
        names = [(alias(place, keys[0]), parts) for place, parts in failed.items()]
        errors = [graphql_error(**parts, path=[name]) for name, parts in names]
        nothing = {name: None for name, _ in names}
        return _json(200, {"errors": errors, "data": {**data, **nothing}})
    if not isinstance(request.call, RestDefinition):
        return None
    return _failed_items(request, request.call, failed)


def unplaced_answer(request: RequestDefinition, count: int) -> HttpResponse | None:
    """Make an answer that refuses one of ``count`` events without saying which."""
    if not isinstance(request.call, RestDefinition) or request.idempotent or count == 1:
        return None  # idempotent requests are sent again event by event
    return _failed_items(request, request.call, {None: {"message": MESSAGE}})


def complete_answer(request: RequestDefinition, events: Sequence[Any]) -> HttpResponse | None:
    """Make a success that lists each of these events, for answers that must; None if none can.

    An event is the JSON that it has in the batch.
    """
    failed = request.call.failed_items if isinstance(request.call, RestDefinition) else None
    if failed is None:
        return None
    items = []
    for place, event in enumerate(events):
        item: dict[str, Any] = {}
        if failed.index is not None and not put(item, failed.index, place):
            return None
        if failed.item_status is not None and not put(item, failed.item_status, _OK):
            return None
        if failed.item_id is not None:
            identity = compile_value(failed.event_id).resolve(event)
            if not put(item, failed.item_id, identity):
                return None
        items.append(item)
    value = success_value(request)
    body: dict[str, Any] = copy.deepcopy(value) if isinstance(value, dict) else {}
    if not put(body, failed.items, items):
        return None
    return _json(failed.statuses[0], body)


_OK: Final = 200


def _failed_items(
    request: RequestDefinition,
    call: RestDefinition,
    places: Mapping[int, Mapping[str, Any]] | Mapping[None, Mapping[str, Any]],
) -> HttpResponse | None:
    """Return a body with failed items at the paths that the definition reads, if they are plain.

    The place None is that of an item which does not say whose it is.
    """
    failed = call.failed_items
    if failed is None:
        return None
    items = []
    for place, parts in places.items():
        item: dict[str, Any] = {"message": parts["message"]}
        placed = (
            (place is None or put(item, failed.index, place))
            and (failed.message is None or put(item, failed.message, parts["message"]))
            and (
                "code" not in parts or failed.code is None or put(item, failed.code, parts["code"])
            )
        )
        if not placed:
            return None
        items.append(item)
    value = success_value(request)
    body: dict[str, Any] = copy.deepcopy(value) if isinstance(value, dict) else {}
    return _json(failed.statuses[0], body) if put(body, failed.items, items) else None


def put(target: dict[str, Any], mapping: object, value: Any) -> bool:
    """Set the value that a plain path leads to; False for any other mapping."""
    path = mapping.get("@path") if isinstance(mapping, Mapping) else None
    keys = split_path(strip_root(path)) if isinstance(path, str) else ()
    if not keys or not all(key.isidentifier() for key in keys):
        return False
    for key in keys[:-1]:
        target = target.setdefault(key, {})
    target[keys[-1]] = value
    return True


def error_answer(condition: ErrorCondition, request: RequestDefinition) -> HttpResponse | None:
    """Return an answer to one event that fits ``condition``; None if none could be made."""
    is_graphql = isinstance(request.call, GraphQLDefinition)
    status = _status(condition, default=200 if is_graphql else 400)
    message = MESSAGE if condition.message is None else text_with(condition.message)
    if message is None:
        return None
    body: Any = {} if condition.body is None else sample(condition.body)
    if is_graphql:
        field = condition.root_field
        error = graphql_error(
            message,
            code=condition.code,
            exception=condition.exception,
            path=None if field is None else [alias(0, field)],
        )
        body = {**(body if isinstance(body, dict) else {}), "errors": [error]}
    elif condition.body is None:
        body = {"message": message}
    elif condition.message is not None and isinstance(body, dict):
        body = {**body, "message": message}
    return _json(status, body)


def _status(condition: ErrorCondition, default: int) -> int:
    if not condition.status:
        return default
    first = condition.status[0]
    return int(first[0]) * 100 if isinstance(first, str) else first


def rule_that_reads(
    response: HttpResponse, request: RequestDefinition, definition: DestinationDefinition
) -> ErrorCondition | None:
    """Return the first matching condition: of an answer, or a rule of the request or destination.

    The runtime's own reader finds it: each rule is given to it as an answer named by a number.
    """
    conditions = conditions_of(request, definition)
    marked = tuple(AnswerRule(str(number), when) for number, when in enumerate(conditions))
    compiled = compile_request(
        replace(request, answers=marked, error_rules=()), definition.transport, ()
    )
    (verdict,) = compiled.read(response, 1)
    if isinstance(verdict, Answer) and verdict.name != "ok":
        return conditions[int(verdict.name)]
    return None


def conditions_of(
    request: RequestDefinition, definition: DestinationDefinition
) -> list[ErrorCondition]:
    """Return every condition for a request's errors, in the order in which they are tried."""
    rules = (*request.error_rules, *definition.error_rules)
    return [answer.when for answer in request.answers] + [rule.when for rule in rules]


def _json(status: int, body: Any) -> HttpResponse:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(status, _JSON, text.encode())
