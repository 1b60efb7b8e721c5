"""Judge answers without an error: a success is only what the definition expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from destinations.definition import RequestDefinition
from destinations.errors import ResolveError
from destinations.http.answer import WITHOUT_REASON, Answer, Failure
from destinations.segment.javascript import to_string
from destinations.segment.mapping import compile_value
from destinations.segment.validation import compile_schema

__all__ = ["SuccessCheck"]

Test = Callable[[Any], bool]


class SuccessCheck:
    """The ``expect`` and ``refusals`` of one request, compiled."""

    def __init__(self, definition: RequestDefinition) -> None:
        self.fits = _test(definition.expect)
        self.takes_anything: Final = definition.expect is None and not definition.refusals
        self._refusals = [
            (_test(refusal.when), compile_value(refusal.message)) for refusal in definition.refusals
        ]

    def judge(self, value: Any, status: int) -> Answer | Failure:
        """Return an answer for a success, else the failure."""
        if self.fits(value):
            return Answer("ok", value)
        for holds, message in self._refusals:
            if holds(value):
                try:
                    text = to_string(message.resolve({"answer": value}))
                except ResolveError as error:  # still a refusal
                    text = f"rejected by the partner (unreadable reason: {error})"
                return Failure(
                    text if text.strip() else WITHOUT_REASON,
                    "invalid",
                    status,
                    retryable=False,
                    nothing_applied=True,
                    whole_request=False,
                )
        return Failure(
            "the answer is not the expected one",
            "internal",
            status,
            retryable=True,
            nothing_applied=False,
            whole_request=False,
        )


def _test(schema: Any) -> Test:
    if schema is None:
        return lambda _: True
    return _closure(schema) or compile_schema(dict(schema)).is_valid


_SIMPLE: Final = frozenset(
    {"type", "required", "properties", "items", "const", "description", "title"}
)
_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}
"""The types whose values have one type in Python; a number that is whole has two."""


def _closure(schema: Any) -> Test | None:
    """Return a test for a schema of types, members, items and constants; None for any other schema.

    Most ``expect`` schemas are such, and they are tested for every event. A call of the schema
    library costs more than everything else in reading an answer.
    """
    if not (isinstance(schema, Mapping) and schema.keys() <= _SIMPLE):
        return None
    if "const" in schema:
        return _of_constant(schema)
    named = schema.get("type", ())
    names = (named,) if isinstance(named, str) else tuple(named)
    if not names or not set(names) <= _PYTHON_TYPES.keys():
        return None
    if ("properties" in schema or "required" in schema) and "object" not in names:
        return None
    members = {name: _closure(spec) for name, spec in schema.get("properties", {}).items()}
    item = _closure(schema["items"]) if "items" in schema else _is_anything
    if item is None or None in members.values():
        return None
    types = frozenset(_PYTHON_TYPES[name] for name in names)
    tests = [(name, test) for name, test in members.items() if test is not None]
    return _of_type(types, tuple(schema.get("required", ())), tests, item)


def _is_anything(_: Any) -> bool:
    return True


def _of_constant(schema: Mapping[str, Any]) -> Test | None:
    constant = schema["const"]
    # Not for numbers: Python calls 1, 1.0 and True equal.
    if not isinstance(constant, bool | str) or schema.keys() - {"const", "description", "title"}:
        return None
    return lambda value: type(value) is type(constant) and bool(value == constant)


def _of_type(
    types: frozenset[type], required: Sequence[str], members: Sequence[tuple[str, Test]], item: Test
) -> Test:
    """Return a test for values of these types; the rest is for objects and arrays."""

    def test(value: Any) -> bool:
        kind = type(value)
        if kind not in types:
            return False
        if kind is dict:
            for name in required:
                if name not in value:
                    return False
            for name, holds in members:
                if name in value and not holds(value[name]):
                    return False
        elif kind is list and item is not _is_anything:
            return all(map(item, value))
        return True

    return test
