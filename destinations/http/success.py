"""Judge answers without an error: a success is only what the definition expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


_SIMPLE: Final = frozenset({"type", "required", "properties", "const", "description", "title"})


def _closure(schema: Any) -> Test | None:  # noqa: C901 - each keyword is looked at once
    """Return a test for a schema that only asks for constant members; None for any other schema.

    Most ``expect`` schemas do, and they are tested for every event. A call of the schema library
    costs more than everything else in reading an answer.
    """
    if not (isinstance(schema, Mapping) and schema.keys() <= _SIMPLE):
        return None
    if schema.get("type") != "object" or "const" in schema:
        return None
    constants: dict[str, Any] = {}
    for name, spec in schema.get("properties", {}).items():
        if not isinstance(spec, Mapping) or spec.keys() - {"description", "title"} != {"const"}:
            return None
        # Not for numbers: Python calls 1, 1.0 and True equal.
        if not isinstance(spec["const"], bool | str):
            return None
        constants[name] = spec["const"]
    required = tuple(schema.get("required", ()))

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, constant in constants.items():
            if name in value:
                found = value[name]
                if type(found) is not type(constant) or found != constant:
                    return False
        return True

    return test
