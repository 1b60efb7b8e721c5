"""Ask the partner for the values of a field (``x-choices``), page by page.

A list ends with a page that names no next one. A partner may also name a page that was read before,
or go on without anything new: then it ends there, and so it does at a limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from destinations.errors import IntegrationError, ResolveError, TemporaryError, UsageError
from destinations.http import Answer, Failure
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

__all__ = ["Choice", "Choices", "Ending", "ask_choices"]

Ending = Literal["complete", "repeated", "limit"]
"""Why a list ends: it has no further page, it repeats itself, or it reached the limit."""

MOST_PAGES: Final = 1_000
"""The pages after which a list ends in any case."""

MOST_STALE: Final = 3
"""Pages in a row without a new choice that end a list: a partner may have a few that are empty."""

_SHOWN: Final = 80


class Choice(NamedTuple):
    """A value of a field, and what people see in its place."""

    value: str | float | bool
    label: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices in the partner's order, each value once, and how the list ended.

    ``unusable`` is the number of items that had no plain value.
    """

    choices: tuple[Choice, ...]
    pages: int
    ending: Ending
    unusable: int = 0


def ask_choices(
    destination: Destination, sender: Sender, given: Mapping[str, Any], *, limit: int
) -> Choices:
    """Return the choices that ``x-choices`` asks for, at most ``limit`` of them.

    Secrets in them are masked. Raises `UsageError` if the request is not written, the partner
    refuses it, or the answer holds no list; `TemporaryError` if the partner does not answer, or may
    answer later.
    """
    if "pending" in given:
        raise UsageError(f"the choices cannot be asked for yet: {given['pending']}")
    mask = destination.settings.masker.foreign
    reader = _Reader(given, mask)
    found: dict[str, Choice] = {}
    asked: set[str] = set()
    page: Any = UNDEFINED
    unusable = stale = 0
    for number in range(1, MOST_PAGES + 1):
        data = _answer(sender, given["request"], page, mask)
        before = len(found)
        for choice in reader.choices(data):
            if choice is None:
                unusable += 1
            elif len(found) == limit and _key(choice.value) not in found:
                return Choices(tuple(found.values()), number, "limit", unusable)
            else:
                found.setdefault(_key(choice.value), choice)
        page = reader.next_page(data)
        if page is None:
            return Choices(tuple(found.values()), number, "complete", unusable)
        key = _key(page)
        stale = stale + 1 if len(found) == before else 0
        if key in asked or stale == MOST_STALE:
            return Choices(tuple(found.values()), number, "repeated", unusable)
        asked.add(key)
    return Choices(tuple(found.values()), MOST_PAGES, "limit", unusable)


def _key(value: object) -> str:
    """Return a key for a value: 1 and "1" are two."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _answer(sender: Sender, name: str, page: object, mask: Callable[[str], str]) -> Any:
    verdict = sender.ask_page(name, page)
    if isinstance(verdict, Answer) and verdict.name == "ok":
        if isinstance(verdict.data, str):
            shown = " ".join(mask(verdict.data).split())[:_SHOWN]
            raise UsageError(f"the partner answered {name} with text, not with JSON: {shown}")
        return verdict.data
    if isinstance(verdict, Answer):
        raise UsageError(f"the partner answered {name} with {verdict.name}, which is no list")
    raise _error(name, verdict)


def _error(name: str, failure: Failure) -> UsageError:
    if failure.error_class == "authentication":
        return UsageError(f"the partner refuses these credentials: {failure.message}")
    if not failure.is_answered or failure.retryable:
        return TemporaryError(f"the partner did not answer {name}: {failure.message}")
    return UsageError(f"the partner refuses {name}: {failure.message}")


class _Reader:
    """Reads the answers to the request of one field."""

    def __init__(self, given: Mapping[str, Any], mask: Callable[[str], str]) -> None:
        self._name = given["request"]
        self._mask = mask
        self._items = compile_value(given["items"])
        self._value = compile_value(given["value"])
        self._label = compile_value(given["label"]) if "label" in given else None
        self._next = compile_value(given["next"]) if "next" in given else None

    def choices(self, data: object) -> Iterator[Choice | None]:
        """Yield the choices of a page; None for an item without a plain value."""
        items = self._resolved(self._items.resolve, {"answer": data})
        if not isinstance(items, list):
            what = "nothing" if items is UNDEFINED or items is None else type(items).__name__
            message = f"x-choices.items finds no list in the answer to {self._name}: {what}"
            raise UsageError(message)
        for item in items:
            value = self._resolved(self._value.resolve, item)
            if not isinstance(value, str | int | float) or value == "":
                yield None
                continue
            label = None if self._label is None else self._resolved(self._label.resolve, item)
            shown = label if isinstance(label, str) and label else _text(value)
            yield Choice(self._mask(value) if isinstance(value, str) else value, self._mask(shown))

    def next_page(self, data: object) -> Any:
        """Return what the next page is asked with; None if there is none."""
        if self._next is None:
            return None
        found = self._resolved(self._next.resolve, {"answer": data})
        return None if found is UNDEFINED or found is False or found == "" else found

    def _resolved(self, resolve: Any, data: object) -> Any:
        try:
            return resolve(data)
        except (ResolveError, IntegrationError) as error:
            raise UsageError(f"the answer to {self._name} cannot be read: {error}") from None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
