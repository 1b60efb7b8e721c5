"""Checking a mapping when it is loaded.

Refused is exactly what the reference runtime refuses. That leaves issues it does not look for
(everything inside arrays and literals, an ``@if`` without condition): those fail when reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from destinations.errors import Issue, did_you_mean
from destinations.segment.javascript.json_text import stringify
from destinations.segment.javascript.text import length
from destinations.segment.javascript.values import article, type_name
from destinations.segment.json_pointer import pointer

__all__ = [
    "METADATA_KEY",
    "ArgumentCheck",
    "Checker",
    "Required",
    "directive_in",
    "directive_keys",
    "fields",
    "one_of",
    "text_of_length",
]

METADATA_KEY: Final = "_metadata"
_JSON_TYPES: Final = frozenset({"object", "array", "boolean", "string", "number", "null"})


def directive_keys(value: Mapping[str, Any]) -> list[str]:
    """Return the keys of ``value`` that start with ``@``."""
    return [key for key in value if str(key).startswith("@")]


def directive_in(value: object) -> tuple[str, Any] | None:
    """Return (name, argument) of the directive that ``value`` is; None for any other value."""
    names = directive_keys(value) if isinstance(value, dict) else []
    if isinstance(value, dict) and names and not value.keys() - {*names, METADATA_KEY}:
        return names[0], value[names[0]]
    return None


def _kind(value: object) -> str:
    """Return ``directive`` for an object with a key that starts with ``@``, else the type."""
    return "directive" if isinstance(value, dict) and directive_keys(value) else type_name(value)


class Checker:
    """Walks a mapping and collects its issues, each with its JSON pointer."""

    def __init__(self, directives: Mapping[str, ArgumentCheck]) -> None:
        self._directives = directives
        self._issues: dict[Issue, None] = {}  # a set that keeps the order
        # Arguments are looked at as objects and then as what they are, so the values in them twice:
        # without these, the time would double with every level.
        self._directives_seen: set[str] = set()
        self._objects_seen: set[str] = set()

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The issues found, in the order of the mapping."""
        return tuple(self._issues)

    def issue(self, path: str, message: str) -> None:
        """Note an issue; the same one found twice counts once."""
        self._issues[Issue(message, path)] = None

    def value(self, value: object, path: str) -> None:
        """Check any mapping value. Arrays are not looked into."""
        kind = _kind(value)
        if kind == "directive":
            self.directive(value, path)
        elif kind == "object":
            self.plain_object(value, path)
        elif kind not in _JSON_TYPES:
            self._not_json(path, kind)

    def directive(self, value: Any, path: str) -> None:
        """Check an object that has a key with ``@``."""
        if path in self._directives_seen:
            return
        self._directives_seen.add(path)
        names = directive_keys(value)
        others = [key for key in value if key not in names and key != METADATA_KEY]
        name = names[0]
        if len(names) > 1:
            self.issue(path, f"should have one directive but has {len(names)}: {_list(names)}")
        elif others:
            self.issue(path, f"should have no keys besides {name} but has {_list(others)}")
        elif name not in self._directives:
            known = ", ".join(self._directives)
            message = f"has the unknown directive {name}; should be one of {known}"
            self.issue(path, message + did_you_mean(name, self._directives))
        else:
            self._directives[name](self, value[name], path + pointer(name))

    def plain_object(self, value: object, path: str) -> bool:
        """Check an object that is not a directive; False for other values."""
        kind = _kind(value)
        if kind != "object" or not isinstance(value, dict):
            self._wrong(path, "an object", kind)
            return False
        if path in self._objects_seen:
            return True
        self._objects_seen.add(path)
        for key, item in value.items():
            if isinstance(key, str):
                self.value(item, path + pointer(key))
            else:
                self.issue(path, f"should have keys that are text but has {key!r}")
        return True

    def raw(self, value: object, path: str) -> None:
        """Check a directive or any JSON value; the inside of JSON values is not looked at."""
        kind = _kind(value)
        if kind == "directive":
            self.directive(value, path)
        elif kind not in _JSON_TYPES:
            self._not_json(path, kind)

    def text_or_directive(self, value: object, path: str) -> None:
        """Check text, or a directive that is to give it."""
        kind = _kind(value)
        if kind == "directive":
            self.directive(value, path)
        elif kind != "string":
            self._wrong(path, "a string or a directive", kind)

    def object_or_directive(self, value: object, path: str) -> None:
        """Check an object, or a directive that is to give it."""
        kind = _kind(value)
        if kind == "directive":
            self.directive(value, path)
        elif kind == "object":
            self.plain_object(value, path)
        else:
            self._wrong(path, "an object or a directive", kind)

    def text(self, value: object, path: str) -> bool:
        """Check text; False for other values."""
        return self._is(value, path, "string")

    def boolean(self, value: object, path: str) -> None:
        """Check true or false."""
        self._is(value, path, "boolean")

    def array(self, value: object, path: str) -> bool:
        """Check an array; False for other values."""
        return self._is(value, path, "array")

    def _is(self, value: object, path: str, wanted: str) -> bool:
        kind = _kind(value)
        if kind != wanted:
            self._wrong(path, article(wanted), kind)
        return kind == wanted

    def _not_json(self, path: str, kind: str) -> None:
        self._wrong(path, "a directive or a JSON value", kind)

    def _wrong(self, path: str, wanted: str, kind: str) -> None:
        got = kind if kind in {"null", "undefined"} else article(kind)
        self.issue(path, f"should be {wanted} but is {got}")


ArgumentCheck = Callable[[Checker, object, str], object]
"""Checks the argument of a directive, which stands at the given path."""


class Required:
    """Marks the check of a field that must be there."""

    def __init__(self, check: ArgumentCheck) -> None:
        self.check = check


def fields(checks: Mapping[str, ArgumentCheck | Required]) -> ArgumentCheck:
    """Return a check for an object with these fields; others are allowed."""

    def check(checker: Checker, value: object, path: str) -> None:
        if not checker.plain_object(value, path) or not isinstance(value, dict):
            return
        for name, field in checks.items():
            if name in value:
                run = field.check if isinstance(field, Required) else field
                run(checker, value[name], path + pointer(name))
            elif isinstance(field, Required):
                checker.issue(path, f'should have the field "{name}" but does not')

    return check


def text_of_length(shortest: int, longest: int) -> ArgumentCheck:
    """Return a check that text has an allowed number of UTF-16 code units."""

    def check(checker: Checker, value: object, path: str) -> None:
        if checker.text(value, path) and isinstance(value, str):
            size = length(value)
            if not shortest <= size <= longest:
                checker.issue(
                    path, f"should have {shortest} to {longest} characters but has {size}"
                )

    return check


def one_of(*allowed: str) -> ArgumentCheck:
    """Return a check for one of these words, in upper or lower case."""

    def check(checker: Checker, value: object, path: str) -> None:
        if checker.text(value, path) and isinstance(value, str) and value.lower() not in allowed:
            words = ", ".join(allowed)
            checker.issue(path, f"should be one of {words} but is {stringify(value)}")

    return check


def _list(keys: Iterable[object]) -> str:
    return ", ".join(map(str, keys))
