"""Find the calls of analytics.js in a code sample and read their arguments.

Arguments must be literals (text, numbers, objects, arrays): readers copy samples, and only literals
can be executed without a browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from destinations.errors import DestinationsError
from destinations.extras import libraries_of
from destinations.segment.event import EVENT_TYPES

__all__ = ["METHODS", "SAMPLE_LANGUAGES", "Call", "SampleError", "read_calls"]

METHODS: Final = EVENT_TYPES
"""The methods of analytics.js, each called like the type of the events that it sends."""

SAMPLE_LANGUAGES: Final = frozenset({"js", "javascript"})
"""The languages of code blocks with samples of calls."""

_CALL: Final = re.compile(rf"\banalytics\.(?P<method>{'|'.join(METHODS)})\s*\(")
# Tokens that decide where a call ends: strings and comments hide parentheses.
_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"|(?P<open>[([{])|(?P<close>[)\]}])",
    re.DOTALL,
)


class SampleError(DestinationsError):
    """A code sample cannot be executed; ``line`` counts from 1 within the sample."""

    def __init__(self, message: str, line: int) -> None:
        self.message = message
        self.line = line
        super().__init__(f"line {line} of the sample: {message}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with its arguments as JSON values; ``line`` counts from 1 within the sample."""

    method: str
    arguments: tuple[Any, ...]
    line: int


def read_calls(text: str) -> Iterator[Call]:
    """Return every call in ``text``, in order; raises `SampleError` for an unreadable one."""
    position = 0
    while found := _CALL.search(text, position):
        line = text.count("\n", 0, found.start()) + 1
        if _is_hidden(text, found.start()):
            position = found.end()
            continue
        end = _end(text, found.end())
        if end is None:
            raise SampleError(f"the call of {found['method']} has no closing parenthesis", line)
        yield Call(found["method"], _arguments(text[found.end() : end], line), line)
        position = end


def _is_hidden(text: str, place: int) -> bool:
    """Return whether a place is in a string or a comment."""
    return any(
        token.start() <= place < token.end()
        for token in _TOKEN.finditer(text)
        if token["text"] or token["comment"]
    )


def _end(text: str, start: int) -> int | None:
    depth = 1
    for token in _TOKEN.finditer(text, start):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if not depth:
                return token.start()
    return None


def _arguments(text: str, line: int) -> tuple[Any, ...]:
    try:
        values = json.loads(_as_json(text))
    except ValueError as error:
        where = re.search(r":(\d+)", str(error))
        inner = line + int(where[1]) - 1 if where else line
        raise SampleError(
            "the arguments must be literals (text, numbers, objects, arrays) without variables",
            inner,
        ) from None
    return tuple(values)


@lru_cache(maxsize=512)
def _as_json(text: str) -> str:
    """Return the arguments of a call as JSON; raises `ValueError`.

    It is cached: several rules read each sample of a page, and to parse it takes milliseconds.
    """
    with libraries_of("kit"):
        import json5  # noqa: PLC0415 - only commands that read samples need it

    return json.dumps(json5.loads(f"[{text}]"))
