"""Judges an answer that came without an error: only what the definition expects is a success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from destinations.definition import RequestDefinition
from destinations.errors import ResolveError
from destinations.http.answer import Answer, Failure
from destinations.segment.javascript import to_string
from destinations.segment.mapping import compile_value
from destinations.segment.validation import compile_schema

__all__ = ["Expectation"]


class Expectation:
    """The ``expect`` and ``refusals`` of one request, compiled."""

    def __init__(self, definition: RequestDefinition) -> None:
        self._fits = _fits(definition.expect)
        self._refusals = [
            (_fits(refusal.when), compile_value(refusal.message)) for refusal in definition.refusals
        ]

    def judge(self, value: Any, status: int) -> Answer | Failure:
        """A success, or the failure that this value means."""
        if self._fits(value):
            return Answer("ok", value)
        for holds, message in self._refusals:
            if holds(value):
                try:
                    text = to_string(message.resolve({"answer": value}))
                except ResolveError as error:  # it is a refusal all the same
                    text = f"the partner said no, and its reason cannot be read: {error}"
                return Failure(
                    text,
                    "invalid",
                    status,
                    retryable=False,
                    nothing_applied=True,
                    whole_request=False,
                )
        return Failure(
            "the answer is not that of a success",
            "internal",
            status,
            retryable=True,
            nothing_applied=False,
            whole_request=False,
        )


def _fits(schema: Any) -> Callable[[Any], bool]:
    if schema is None:
        return lambda _: True
    return compile_schema(dict(schema)).is_valid
