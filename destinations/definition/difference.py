"""A change between two versions of a definition, and the words for its values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from destinations.segment.json_pointer import pointer

__all__ = ["MISSING", "Bump", "Difference", "changed", "leaves", "listed", "shown"]

MISSING: Final[Any] = object()
"""Stands for a value that one of the versions does not have."""

_LONGEST: Final = 80
_BEFORE: Final = 20
"""The characters of a long text that are shown before the first one that differs."""


class Bump(IntEnum):
    """The part of the version that a change has to raise: major if users have to act."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One change; ``path`` is a JSON pointer within the definition."""

    bump: Bump
    path: str
    message: str


def shown(value: object, other: object = MISSING) -> str:
    """Return a value for a message; of a long one, the part that differs from the ``other``."""
    if value is MISSING or value is None:
        return "nothing"
    text = _text(value)
    if len(text) <= _LONGEST:
        return text
    beside = "" if other is MISSING or other is None else _text(other)
    pairs = enumerate(zip(text, beside, strict=False))
    first = next((at for at, (one, another) in pairs if one != another), len(beside))
    start = max(0, min(first - _BEFORE, len(text) - _LONGEST)) if beside else 0
    end = start + _LONGEST
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"


def _text(value: object) -> str:
    if isinstance(value, bool | float | int):
        return json.dumps(value)
    if isinstance(value, str):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, as in a sentence; ``none`` without one."""
    return ", ".join(map(repr, names)) or "none"


def leaves(place: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost values that differ, each with its place; `MISSING` where there is none.

    Values of an object are compared by their keys, and those of a list by their places.
    """
    if old == new and type(old) is type(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            own = place + pointer(key)
            yield from leaves(own, old.get(key, MISSING), new.get(key, MISSING))
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        for at in range(max(len(old), len(new))):
            pair = (one[at] if at < len(one) else MISSING for one in (old, new))
            yield from leaves(place + pointer(at), *pair)
    else:
        yield place, old, new


def changed(
    place: str, what: str, old: Any, new: Any, bump: Bump = Bump.PATCH, *, so: str = ""
) -> Iterator[Difference]:
    """Yield each innermost value that differs: what it was and is, and ``so`` what follows."""
    for path, before, after in leaves(place, old, new):
        message = f"{what} was {shown(before, after)} and is {shown(after, before)}"
        yield Difference(bump, path, message + (f": {so}" if so else ""))
