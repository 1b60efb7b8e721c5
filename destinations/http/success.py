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
        place = f"requests.{definition.name}"
        self._expect = f"{place}.expect"
        self._refusals = [
            (_test(refusal.when), compile_value(refusal.message), f"{place}.refusals[{number}]")
            for number, refusal in enumerate(definition.refusals)
        ]

    def judge(self, value: Any, status: int, *, whole_request: bool = False) -> Answer | Failure:
        """Return an answer for a success, else the failure.

        A refusal is about one event. What is neither is about the ``whole_request`` if the value is
        the answer to it: a page for maintenance, or of a network that wants a sign-in, comes with a
        200, and to all.
        """
        if self.fits(value):
            return Answer("ok", value)
        for holds, message, place in self._refusals:
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
                    rule=place,
                )
        return Failure(
            "the answer is not the expected one",
            "internal",
            status,
            retryable=True,
            nothing_applied=False,
            whole_request=whole_request,
            rule=self._expect,
        )


def _test(schema: Any) -> Test:
    if schema is None:
        return lambda _: True
    return _closure(schema) or compile_schema(dict(schema)).is_valid


_SIMPLE: Final = frozenset(
    {"type", "required", "properties", "items", "const", "description", "title"}
)
_TYPE_ALONE: Final = frozenset({"type", "description", "title"})
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
    types = _types(schema)
    if types is None:
        return None
    if ("properties" in schema or "required" in schema) and dict not in types:
        return None
    plain: list[tuple[str, frozenset[type]]] = []
    members: list[tuple[str, Test]] = []
    for name, spec in schema.get("properties", {}).items():
        if (member := _closure(spec)) is None:
            return None
        kinds = _types(spec) if spec.keys() <= _TYPE_ALONE else None
        if kinds is None:
            members.append((name, member))
        else:
            plain.append((name, kinds))
    item = _closure(schema["items"]) if "items" in schema else _is_anything
    if item is None:
        return None
    return _of_type(types, _of_object(tuple(schema.get("required", ())), plain, members), item)


def _types(schema: Mapping[str, Any]) -> frozenset[type] | None:
    """Return the types of a schema's values in Python; None if these do not say it."""
    named = schema.get("type", ())
    names = (named,) if isinstance(named, str) else tuple(named)
    if not names or not set(names) <= _PYTHON_TYPES.keys():
        return None
    return frozenset(_PYTHON_TYPES[name] for name in names)


def _is_anything(_: Any) -> bool:
    return True


def _of_constant(schema: Mapping[str, Any]) -> Test | None:
    constant = schema["const"]
    # Not for numbers: Python calls 1, 1.0 and True equal.
    if not isinstance(constant, bool | str) or schema.keys() - {"const", "description", "title"}:
        return None
    return lambda value: type(value) is type(constant) and bool(value == constant)


def _of_type(types: frozenset[type], fits_object: Test, item: Test) -> Test:
    """Return a test for values of these types; the other two are for objects and items."""

    def test(value: Any) -> bool:
        kind = type(value)
        if kind not in types:
            return False
        if kind is dict:
            return fits_object(value)
        return kind is not list or item is _is_anything or all(map(item, value))

    return test


def _of_object(
    required: Sequence[str],
    plain: Sequence[tuple[str, frozenset[type]]],
    members: Sequence[tuple[str, Test]],
) -> Test:
    """Return a test for an object.

    Of the members in ``plain`` the type is all that is asked: a list has thousands of them.
    """

    def test(value: Any) -> bool:
        for name in required:
            if name not in value:
                return False
        for name, kinds in plain:
            if name in value and type(value[name]) not in kinds:
                return False
        return all(name not in value or holds(value[name]) for name, holds in members)

    return test
