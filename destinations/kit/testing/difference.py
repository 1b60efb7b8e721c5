"""Describe the differences between two JSON values, place by place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from destinations.kit.testing.case import ABSENT
from destinations.segment.javascript.equality import equal
from destinations.segment.json_pointer import pointer

__all__ = ["Difference", "differences"]

_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; ``place`` is a request or event, and the JSON pointer in it."""

    place: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.place}: expected {_shown(self.expected)}, got {_shown(self.got)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; an absent value has no key."""
        found = {"place": self.place, "expected": self.expected, "got": self.got}
        return {key: value for key, value in found.items() if value is not ABSENT}


def _shown(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def differences(place: str, expected: Any, got: Any) -> Iterator[Difference]:
    """Yield the innermost differences of two JSON values; ``place`` is the prefix of paths.

    Numbers are compared by value, and the order of keys does not count.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in [*expected, *(key for key in got if key not in expected)]:
            inner = place + pointer(key)
            yield from differences(inner, expected.get(key, ABSENT), got.get(key, ABSENT))
    elif isinstance(expected, list) and isinstance(got, list):
        for index in range(max(len(expected), len(got))):
            left = expected[index] if index < len(expected) else ABSENT
            right = got[index] if index < len(got) else ABSENT
            yield from differences(place + pointer(index), left, right)
    elif expected is not got and not equal(expected, got):
        yield Difference(place.rstrip(), expected, got)
